"""A resource that several clients share, of which none gets all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary


class Shares:
    """At most `total` holders at once, and at most `each` of one client.

    Who waits has a turn in the order of coming, but a client's `each` + 1st waits
    without keeping others from theirs. For one event loop.
    """

    def __init__(self, total: int, each: int) -> None:
        self._all = asyncio.Semaphore(total)
        self._each = each
        self._own: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def held(self, client: str) -> AsyncIterator[None]:
        """Hold one for as long as the block runs."""
        own = self._own.setdefault(client, asyncio.Semaphore(self._each))
        async with own, self._all:
            yield
