"""What the engine said of itself last, so that nobody waits for a busy device."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from serve_app.diffusion.port import Facts
from serve_app.errors import AppError

logger = logging.getLogger(__name__)

PERIOD_SECONDS = 2.0
# A computing engine holds the interpreter's lock for a while.
_TIMEOUT_SECONDS = 10.0
_STARTING = "The model of images is being loaded."


class KnownFacts:
    """Asks an engine again and again, and keeps its last answer.

    `newest` are the facts, or None before the first answer; `trouble` says why the last
    call failed, if it did.
    """

    def __init__(
        self,
        describe: Callable[[], Awaitable[Facts]],
        period_seconds: float = PERIOD_SECONDS,
        timeout_seconds: float = _TIMEOUT_SECONDS,
    ) -> None:
        self._describe = describe
        self._period_seconds = period_seconds
        self._timeout_seconds = timeout_seconds
        self.newest: Facts | None = None
        self.trouble: str | None = _STARTING

    async def keep_asking(self) -> None:
        """Ask until cancelled."""
        while True:
            await self._ask()
            await asyncio.sleep(self._period_seconds)

    async def _ask(self) -> None:
        try:
            # Not `wait_for`, which before Python 3.12 may lose a cancellation.
            async with asyncio.timeout(self._timeout_seconds):
                self.newest = await self._describe()
            self.trouble = None
        except AppError as err:
            self.trouble = err.detail
        except TimeoutError:
            self.trouble = "The engine of images does not respond."
        except Exception:
            # The loop must go on: the next answer may be a good one.
            logger.exception("engine of images failed to describe itself")
            self.trouble = "The engine of images failed; see the log."
