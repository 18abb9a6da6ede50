"""Tasks that run as long as the application does."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import FastAPI

from serve_app.api.part import ApiPart

logger = logging.getLogger(__name__)

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def lifespan(parts: Sequence[ApiPart]) -> Lifespan:
    """Return a lifespan that runs the tasks in the background of all `parts`."""

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        runs = [run for part in parts for run in part.background]
        tasks = [asyncio.create_task(_logged(run)) for run in runs]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    return running


async def _logged(run: Callable[[], Awaitable[Any]]) -> None:
    try:
        await run()
    except Exception:
        # Nobody awaits the task before the application ends.
        logger.exception("background task failed")
