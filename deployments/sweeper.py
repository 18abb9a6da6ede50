"""Periodic deletion of expired rows and files."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

logger = logging.getLogger(__name__)

_SECONDS = 5.0
_SLOW_ROUNDS = 2


class Sweeper:
    """Calls `sweeps` every `period_seconds`, `slow_sweeps` half as often.

    A sweep that fails is logged and called again next time; the others continue.
    """

    def __init__(
        self,
        sweeps: Mapping[str, Callable[[], object]],
        slow_sweeps: Mapping[str, Callable[[], object]],
        period_seconds: float = _SECONDS,
    ) -> None:
        self._sweeps = sweeps
        self._slow_sweeps = slow_sweeps
        self._period_seconds = period_seconds
        self._failing: dict[str, str] = {}

    async def run_forever(self) -> None:
        """Sweep until cancelled."""
        rounds = 0
        while True:
            await self._run(self._sweeps)
            if rounds % _SLOW_ROUNDS == 0:
                await self._run(self._slow_sweeps)
            rounds += 1
            await asyncio.sleep(self._period_seconds)

    def status(self) -> Mapping[str, Any]:
        """Return the sweeps whose last call failed, with their errors."""
        return {"failing": dict(self._failing)}

    async def _run(self, sweeps: Mapping[str, Callable[[], object]]) -> None:
        for name, sweep in sweeps.items():
            try:
                await asyncio.to_thread(sweep)
            except Exception as error:
                # The database or the store may come back.
                logger.exception("sweep failed name=%s", name)
                self._failing[name] = str(error)
            else:
                self._failing.pop(name, None)
