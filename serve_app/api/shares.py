"""A semaphore that clients share fairly."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary


class Shares:
    """A semaphore with `total` places, of which one client gets at most `each`.

    Requests are served in the order of arrival. One that exceeds its client's share
    waits without delaying other clients. For one event loop.
    """

    def __init__(self, total: int, each: int) -> None:
        self._all = asyncio.Semaphore(total)
        self._each = each
        self._own: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def held(self, client: str) -> AsyncIterator[None]:
        """Hold one place during the block."""
        own = self._own.setdefault(client, asyncio.Semaphore(self._each))
        async with own, self._all:
            yield
