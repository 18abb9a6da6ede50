"""Memory that a replica has freed, given back to the system."""

import asyncio

from serve_app.separation import allocator

# After that a pass of a network on two cores takes 60 ms more: 0.4 % of the time.
_PERIOD_SECONDS = 15.0


async def keep_giving_back() -> None:
    """Give freed memory back regularly, until cancelled.

    Otherwise the C library keeps what was used at once at the busiest moment so far.
    """
    while True:
        await asyncio.sleep(_PERIOD_SECONDS)
        await asyncio.to_thread(allocator.give_back)
