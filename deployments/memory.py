"""Memory that a replica has freed, given back to the system."""

import asyncio

from serve_app.separation import allocator

_PERIOD_SECONDS = 60.0


async def keep_giving_back() -> None:
    """Give freed memory back once a minute, until cancelled.

    Otherwise the C library keeps what was used at once at the busiest moment so far.
    """
    while True:
        await asyncio.sleep(_PERIOD_SECONDS)
        await asyncio.to_thread(allocator.give_back)
