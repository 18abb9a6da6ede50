"""The loop that works on copies."""

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from serve_app.archive.copies import Copies

logger = logging.getLogger(__name__)

_AT_ONCE = 3
_POLL_SECONDS = 5.0


class Copier:
    """Makes and deletes copies, a few at once; checks some while there is no work.

    It has threads of its own, because a copy may take hours.
    """

    def __init__(
        self,
        copies: Copies,
        at_once: int = _AT_ONCE,
        poll_seconds: float = _POLL_SECONDS,
    ) -> None:
        self._copies = copies
        self._at_once = at_once
        self._poll_seconds = poll_seconds
        self._error: str | None = None

    async def run_forever(self) -> None:
        """Work until cancelled."""
        threads = ThreadPoolExecutor(self._at_once, thread_name_prefix="copier")
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._at_once):
                    group.create_task(self._work(threads))
        finally:
            threads.shutdown(wait=False, cancel_futures=True)

    def status(self) -> Mapping[str, Any]:
        """Return the error of the last round, if it failed."""
        return {"failing": self._error}

    async def _work(self, threads: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        while True:
            has_worked = False
            try:
                has_worked = await loop.run_in_executor(threads, self._copies.work)
                if not has_worked:
                    await loop.run_in_executor(threads, self._copies.check)
            except Exception as error:
                # The database may come back.
                logger.exception("copies not worked on")
                self._error = str(error)
            else:
                self._error = None
            if not has_worked:
                await asyncio.sleep(self._poll_seconds)
