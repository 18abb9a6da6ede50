"""Blocking work that a replica reports."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from threading import Event
from typing import Any

import pytest

from deployments.heartbeats import Heartbeat
from deployments.ray_errors import Failed
from deployments.thread_events import Report, events_of_thread
from serve_app.errors import InvalidInput
from serve_app.jobs.runner import Finished, Progress

pytestmark = pytest.mark.anyio


async def all_of(work: Any, heartbeat_seconds: float = 30.0) -> list[Any]:
    with ThreadPoolExecutor(1) as threads:
        events = events_of_thread(work, threads, heartbeat_seconds)
        return [event async for event in events]


async def test_reports_come_before_the_result() -> None:
    def work(report: Report, cancelled: Event) -> str:
        report("fetch", 0.0)
        time.sleep(0.05)
        report("analyze", 0.5)
        time.sleep(0.05)
        return "done"

    assert await all_of(work) == [
        Progress("fetch", 0.0),
        Progress("analyze", 0.5),
        Finished("done"),
    ]


async def test_silent_work_has_heartbeats() -> None:
    def work(report: Report, cancelled: Event) -> None:
        time.sleep(0.3)

    *heartbeats, last = await all_of(work, heartbeat_seconds=0.05)
    assert len(heartbeats) >= 2
    assert set(heartbeats) == {Heartbeat()}
    assert last == Finished(None)


async def test_our_own_errors_travel_as_values_and_bugs_are_raised() -> None:
    error = InvalidInput("no")

    def fail(report: Report, cancelled: Event) -> None:
        raise error

    def crash(report: Report, cancelled: Event) -> None:
        raise KeyError("bug")

    assert await all_of(fail) == [Failed(error)]
    with pytest.raises(KeyError):
        await all_of(crash)


async def test_closing_stops_the_work_and_waits_for_it() -> None:
    ended = Event()

    def work(report: Report, cancelled: Event) -> None:
        report("analyze", 0.1)
        assert cancelled.wait(10)
        time.sleep(0.05)
        ended.set()

    with ThreadPoolExecutor(1) as threads:
        async with aclosing(events_of_thread(work, threads, 30.0)) as events:
            await asyncio.wait_for(anext(events), 10)
        assert ended.is_set()
