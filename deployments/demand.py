"""How many replicas a pool needs, as the dispatcher reports it."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from time import monotonic

from deployments.autoscaling import PREFIX
from serve_app.errors import Unavailable
from serve_app.scaling.speed import Speed
from serve_app.scaling.store import WorkStore

logger = logging.getLogger(__name__)

# Serve asks every two seconds.
_KEEP_SECONDS = 5.0
# Audio seconds per second of a replica where no job has ended yet: that of a CPU.
_UNKNOWN_SPEED = 10.0


@dataclass(frozen=True)
class Demand:
    """The replicas that the jobs of a kind need to be done in `goal_seconds`.

    `speed` is measured by this process. Blocks; raises Unavailable.
    """

    store: WorkStore
    speed: Speed
    goal_seconds: float
    clock: Callable[[], datetime]

    def __call__(self) -> float:
        """Return the number of replicas now."""
        speed = self.speed.measured() or self.store.usual_speed(self.clock())
        return self.store.demand(speed or _UNKNOWN_SPEED, self.goal_seconds)


class Demands:
    """The demands of several deployments, by their names; reads them now and then."""

    def __init__(self, demands: Mapping[str, Callable[[], float]]) -> None:
        self._demands = demands
        self._found: dict[str, float] = {}
        self._read_at = float("-inf")

    async def report(self) -> dict[str, float]:
        """Return what `of_dispatchers` keeps; nothing while there is no database."""
        if monotonic() - self._read_at >= _KEEP_SECONDS:
            self._read_at = monotonic()
            self._found = await asyncio.to_thread(self._read)
        return self._found

    def _read(self) -> dict[str, float]:
        try:
            return {PREFIX + name: read() for name, read in self._demands.items()}
        except Unavailable as error:
            logger.warning("demand of pools unknown error=%s", error)
            return {}
