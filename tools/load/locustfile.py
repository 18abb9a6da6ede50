"""Make a load with locust, which replaces Python's sockets by its own."""

import time
from itertools import count as counted
from typing import Any

from locust import LoadTestShape, User, constant_pacing, events, task
from locust.env import Environment

from tools.load.clients import Client, Shared, all_clients
from tools.load.profile import Profile
from tools.load.run import Run

_RUN = Run.from_environment()
_PROFILE = Profile.read(_RUN.profile)


def _tell_locust(name: str, seconds: float, reason: str | None) -> None:
    """Show a call in locust's own page, too."""
    events.request.fire(
        request_type="",
        name=name,
        response_time=1000 * seconds,
        response_length=0,
        exception=None if reason is None else RuntimeError(reason),
        context={},
    )


class _Known:
    """What the clients share, made when locust starts."""

    shared: Shared


@events.test_start.add_listener
def _start(environment: Environment, **_: Any) -> None:
    _Known.shared = _RUN.shared(_tell_locust)


@events.test_stopping.add_listener
def _stop(environment: Environment, **_: Any) -> None:
    _RUN.write("locust", _Known.shared.recorder)


def _user(kind: type[Any], count: int) -> type[User]:
    """Return a class of `count` users that are clients of a kind."""
    numbers = counted()

    def on_start(self: Any) -> None:
        self.stems_client = kind(_Known.shared)
        # Evenly over a period: users of a kind never send in step.
        time.sleep(self.stems_client.period_seconds * (next(numbers) % count) / count)

    def wait_time(self: Any) -> float:
        client: Client = self.stems_client
        found: float = constant_pacing(client.period_seconds)(self)
        return found

    def step(self: Any) -> None:
        self.stems_client.step()

    fields = {"on_start": on_start, "wait_time": wait_time, "step": task(step)}
    return type(kind.__name__, (User,), {**fields, "fixed_count": count})


for _kind, _count in all_clients(_PROFILE):
    if _count:
        globals()[_kind.__name__] = _user(_kind, _count)


class Ramp(LoadTestShape):
    """All users after the ramp, and the end."""

    def tick(self) -> tuple[int, float] | None:
        """Return the number of users, and how many begin each second."""
        if self.get_run_time() > _PROFILE.ramp_seconds + _PROFILE.duration_seconds:
            return None
        users = sum(count for _, count in all_clients(_PROFILE))
        return users, users / max(1.0, _PROFILE.ramp_seconds)
