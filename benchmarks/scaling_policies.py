"""The policies that the simulation compares: ours, Serve's, and an oracle's.

Each is called with what it may know. All but the oracle pass their wish to Serve's own
code for factors and delays, with the simulation's clock.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ray.serve.autoscaling_policy import _apply_delay_logic, _apply_scaling_factors
from ray.serve.config import AutoscalingConfig

from benchmarks.scaling_model import TICK_SECONDS, Policy, Pool, View
from benchmarks.scaling_traces import Trace
from serve_app.scaling import demand

# Serve averages requests over so long, by default.
_LOOK_BACK_SECONDS = 30.0


@dataclass(frozen=True)
class Knobs:
    """What an operator sets: a target or a goal, the delays, the fewest replicas."""

    target: float
    up_s: float
    down_s: float
    least: int = 1

    @property
    def config(self) -> AutoscalingConfig:
        """Serve's configuration of it."""
        return AutoscalingConfig(
            max_replicas=1_000_000,
            upscale_delay_s=self.up_s,
            downscale_delay_s=self.down_s,
        )


@dataclass
class Delayed:
    """A wish, with the factors and delays of an AutoscalingConfig applied by Serve."""

    wish: Callable[[View], float]
    knobs: Knobs
    _state: dict[str, Any] = field(default_factory=dict)

    def __call__(self, view: View) -> int:
        """Return the number of replicas."""
        config = self.knobs.config
        scaled = _apply_scaling_factors(self.wish(view), view.running, config)
        number, self._state = _apply_delay_logic(
            max(0, scaled), view.target, config, self._state, view.now
        )
        return max(number, self.knobs.least)


def ours(trace: Trace, pool: Pool, knobs: Knobs) -> Policy:
    """Return the policy of `by_demand` in `deployments`; the target is `goal_s`."""
    usual = demand.Usual()

    def wish(view: View) -> float:
        needed = demand.replicas(view.left_seconds(), pool.speed, knobs.target)
        usual.add(view.now, needed)
        return max(needed, usual.standby(view.now))

    return Delayed(wish, knobs)


def by_requests(trace: Trace, pool: Pool, knobs: Knobs) -> Policy:
    """Return Serve's default: ongoing requests, averaged, over a target per replica."""
    ongoing: deque[int] = deque(maxlen=int(_LOOK_BACK_SECONDS / TICK_SECONDS))

    def wish(view: View) -> float:
        ongoing.append(view.in_pool + view.queued)
        if not view.running:
            return max(1.0, view.target)
        return float(np.mean(ongoing)) / knobs.target

    return Delayed(wish, knobs)


def by_queue(trace: Trace, pool: Pool, knobs: Knobs) -> Policy:
    """Return Serve's policy for queues: their length now, over a target per replica.

    `ray.serve.async_inference_autoscaling_policy`, without the averages of the default.
    """

    def wish(view: View) -> float:
        return (view.in_pool + view.queued) / knobs.target

    return Delayed(wish, knobs)


def oracle(trace: Trace, pool: Pool, knobs: Knobs) -> Policy:
    """Return a policy that knows all songs that will arrive.

    It starts replicas in time for the work of each `down_s` to come, `target` times as
    many, and never has fewer than the work that is left needs.
    """
    headroom, ahead_s = knobs.target, knobs.down_s
    steps = np.arange(0, trace.seconds + 2 * TICK_SECONDS, TICK_SECONDS)
    work, _ = np.histogram(trace.arrives_at, steps, weights=trace.audio_seconds)
    done = np.concatenate([[0.0], np.cumsum(work)])
    start_s = pool.start_seconds[1]

    def wish(view: View) -> int:
        begin = np.searchsorted(steps, view.now)
        end = np.searchsorted(steps, view.now + start_s + ahead_s)
        window = max(1, int(ahead_s / TICK_SECONDS))
        rates = [
            (done[min(at + window, done.size - 1)] - done[min(at, done.size - 1)])
            for at in range(begin, max(begin + 1, end - window + 1))
        ]
        rate = max(rates) / (window * TICK_SECONDS)
        left = demand.replicas(view.left_seconds(), pool.speed, ahead_s)
        return int(np.ceil(max(headroom * rate / pool.speed, left)))

    return wish
