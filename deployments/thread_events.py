"""Blocking work on a job in a thread of a replica, told as events."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor
from threading import Event
from typing import Any

from deployments.heartbeats import Heartbeat
from deployments.ray_errors import Failed
from serve_app.errors import AppError
from serve_app.jobs.runner import Finished, Progress

# Is called with a stage and the share of the whole job that is done, 0 to 1.
Report = Callable[[str, float], None]


async def events_of_thread(
    work: Callable[[Report, Event], Any],
    executor: Executor | None,
    heartbeat_seconds: float,
) -> AsyncGenerator[Progress | Heartbeat | Finished | Failed, None]:
    """Yield what `work` reports, and at last its result or the reason why it failed.

    There is a heartbeat whenever nothing was reported for `heartbeat_seconds`. Closing
    the generator sets the event that `work` is given, and waits for its thread.
    """
    loop = asyncio.get_running_loop()
    reports: asyncio.Queue[Progress] = asyncio.Queue()
    cancelled = Event()

    def report(stage: str, fraction: float) -> None:
        loop.call_soon_threadsafe(reports.put_nowait, Progress(stage, fraction))

    result = loop.run_in_executor(executor, work, report, cancelled)
    try:
        while not result.done():
            if event := await _next(reports, result, heartbeat_seconds):
                yield event
        yield Finished(await result)
    except AppError as error:
        yield Failed(error)
    finally:
        # Left only once the thread is: drain waits for it, and its files are gone.
        cancelled.set()
        await asyncio.wait({result})
        if not result.cancelled():
            result.exception()  # Marks it as seen: the caller may have left.


async def _next(
    reports: asyncio.Queue[Progress], result: asyncio.Future[Any], seconds: float
) -> Progress | Heartbeat | None:
    """Return what is reported next; None once the result is there."""
    getter = asyncio.ensure_future(reports.get())
    try:
        done, _ = await asyncio.wait(
            {result, getter}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        if getter in done:
            return getter.result()
        return None if done else Heartbeat()
    finally:
        getter.cancel()
