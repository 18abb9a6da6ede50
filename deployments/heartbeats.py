"""Heartbeats in a stream of events, to distinguish a hung replica from a busy one."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import TypeVar

E = TypeVar("E")

# A replica counts as hung after this many missed heartbeats in a row: on an overloaded
# machine an event loop is late by seconds, and Python code that holds the interpreter's
# lock adds some more.
MISSED = 8


class HeartbeatsStoppedError(Exception):
    """The replica hangs, or is unreachable.

    This is not a TimeoutError, because a replica's own timeouts arrive as those.
    """


@dataclass(frozen=True)
class Heartbeat:
    """An event without content: the replica's event loop runs."""


def period_seconds(timeout_seconds: float) -> float:
    """Return the period in which a replica must send an event or a heartbeat."""
    return timeout_seconds / MISSED


async def watched(
    events: AsyncIterator[E | Heartbeat], timeout_seconds: float
) -> AsyncGenerator[E, None]:
    """Yield all events but heartbeats.

    Raises HeartbeatsStoppedError if nothing arrives for `timeout_seconds`. There is no
    timeout for the first event, because the call may have to wait for its turn.
    """
    has_begun = False
    while True:
        coming = asyncio.ensure_future(anext(events, None))
        try:
            # Wait in periods: a pause of this process counts as one missed heartbeat.
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
