"""Memory that a replica has freed, given back to the system."""

import asyncio

from serve_app.separation import allocator


async def keep_giving_back(period_seconds: float = 10.0) -> None:
    """Give freed memory back once a period, until cancelled.

    Otherwise the C library keeps what was used at once at the busiest moment so far.
    """
    while True:
        await asyncio.sleep(period_seconds)
        await asyncio.to_thread(allocator.give_back)
