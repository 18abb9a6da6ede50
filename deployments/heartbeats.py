"""Heartbeats in a stream of events, which tell a replica that hangs from a busy one."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import TypeVar

E = TypeVar("E")

# So many in a row must be missed: on a machine with many times more work than cores, an
# event loop comes late by seconds, and Python code that holds the interpreter's lock by
# some more.
MISSED = 8


class HeartbeatsStoppedError(Exception):
    """The replica hangs, or can't be reached.

    No TimeoutError: a replica's own arrive as such, wrapped by Ray.
    """


@dataclass(frozen=True)
class Heartbeat:
    """The event loop of the replica runs; there is nothing else to tell."""


def period_seconds(timeout_seconds: float) -> float:
    """Return how often a replica must send something, to be thought of as alive."""
    return timeout_seconds / MISSED


async def watched(
    events: AsyncIterator[E | Heartbeat], timeout_seconds: float
) -> AsyncGenerator[E, None]:
    """Yield the events that are no heartbeats; HeartbeatsStoppedError when all stop.

    They must not stop from the first one on: until then the call waits for its turn.
    """
    has_begun = False
    while True:
        coming = asyncio.ensure_future(anext(events, None))
        try:
            # In periods: if this process is paused, that counts as one, however long.
            for _ in range(MISSED):
                wait_seconds = period_seconds(timeout_seconds) if has_begun else None
                await asyncio.wait({coming}, timeout=wait_seconds)
                if coming.done():
                    break
            else:
                raise HeartbeatsStoppedError(
                    f"it sent nothing for {timeout_seconds:g} s"
                )
            event = await coming
        finally:
            coming.cancel()
        if event is None:
            return
        has_begun = True
        if not isinstance(event, Heartbeat):
            yield event
