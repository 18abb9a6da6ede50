"""A hung replica is distinguished from a busy one."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from deployments.heartbeats import (
    MISSED,
    Heartbeat,
    HeartbeatsStoppedError,
    period_seconds,
    watched,
)

TIMEOUT_SECONDS = 0.4


async def events(*steps: str | float) -> AsyncIterator[str | Heartbeat]:
    """Yield texts, and sleep for numbers, in seconds; an empty text is a heartbeat."""
    for step in steps:
        if isinstance(step, float):
            await asyncio.sleep(step)
        else:
            yield step or Heartbeat()


async def collected(*steps: str | float) -> list[str]:
    return [event async for event in watched(events(*steps), TIMEOUT_SECONDS)]


def test_heartbeats_keep_a_stream_alive_that_tells_nothing_else() -> None:
    quiet = ("", TIMEOUT_SECONDS / 2) * 4
    assert asyncio.run(collected("begun", *quiet, "done")) == ["begun", "done"]


def test_a_stream_without_heartbeats_is_given_up_in_time() -> None:
    began = time.monotonic()
    with pytest.raises(HeartbeatsStoppedError, match=r"nothing for 0\.4 s"):
        asyncio.run(collected("begun", 60.0))
    assert time.monotonic() - began < 2 * TIMEOUT_SECONDS


def test_a_call_may_wait_for_its_turn() -> None:
    assert asyncio.run(collected(2 * TIMEOUT_SECONDS, "begun")) == ["begun"]


def test_a_pause_of_the_watching_process_is_not_taken_for_a_silence() -> None:
    async def paused() -> list[str]:
        found = []
        async for event in watched(
            events("begun", period_seconds(TIMEOUT_SECONDS), "done"), TIMEOUT_SECONDS
        ):
            found.append(event)
            # Block the event loop of this process, while its timers run.
            asyncio.get_running_loop().call_later(0, time.sleep, 2 * TIMEOUT_SECONDS)
        return found

    assert asyncio.run(paused()) == ["begun", "done"]


def test_more_than_one_heartbeat_must_be_missed() -> None:
    assert period_seconds(TIMEOUT_SECONDS) == TIMEOUT_SECONDS / MISSED
    assert MISSED > 3
