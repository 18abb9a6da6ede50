"""Blocking work on a job in a thread of a replica, as a stream of events."""

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
    """Yield the reports of `work`, and finally its result or its error.

    Yields a heartbeat after each `heartbeat_seconds` without a report. Closing the
    generator sets the event that `work` gets, and waits for its thread.
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
        # Wait for the thread, so that draining waits too and its files are deleted.
        cancelled.set()
        await asyncio.wait({result})
        if not result.cancelled():
            result.exception()  # Marks it as retrieved: the caller may be gone.


async def _next(
    reports: asyncio.Queue[Progress], result: asyncio.Future[Any], seconds: float
) -> Progress | Heartbeat | None:
    """Return the next report or a heartbeat; None when there is a result."""
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
