"""API keys, cached for seconds."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable

from serve_app.access.keys import ApiKey, KeyStore

# A revoked key must be refused everywhere within 5 s.
FRESH_SECONDS = 2.0
# More keys than one Api sees in that time.
_MOST = 10_000


class KeyCache:
    """Finds keys in `store`, each at most every two seconds. For one event loop.

    Requests for one key at the same time cause one query. Unknown ids are cached too.
    """

    def __init__(
        self, store: KeyStore, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.store = store
        self._monotonic = monotonic
        self._found: OrderedDict[str, tuple[ApiKey | None, float]] = OrderedDict()
        self._queries: dict[str, asyncio.Task[ApiKey | None]] = {}
        self._has_any = False
        self._looked_at = float("-inf")
        self._look: asyncio.Task[bool] | None = None

    async def find(self, key_id: str) -> ApiKey | None:
        """Return a key, or None for an unknown id; raise Unavailable."""
        key, at = self._found.get(key_id, (None, float("-inf")))
        if self._monotonic() - at < FRESH_SECONDS:
            return key
        query = self._queries.get(key_id)
        if query is None:
            query = asyncio.create_task(self._query(key_id))
            self._queries[key_id] = query
            query.add_done_callback(lambda _: self._queries.pop(key_id, None))
        # A client that leaves must not end the query of the others.
        return await asyncio.shield(query)

    async def has_any(self) -> bool:
        """Whether a key was ever created; raise Unavailable."""
        if self._has_any or self._monotonic() - self._looked_at < FRESH_SECONDS:
            return self._has_any
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._look_for_any())
        return await asyncio.shield(self._look)

    async def _look_for_any(self) -> bool:
        at = self._monotonic()
        self._has_any = await asyncio.to_thread(self.store.has_any)
        self._looked_at = at
        return self._has_any

    async def _query(self, key_id: str) -> ApiKey | None:
        # The age counts from before the query: the key may be revoked meanwhile.
        at = self._monotonic()
        key = await asyncio.to_thread(self.store.find, key_id)
        self._found[key_id] = key, at
        self._found.move_to_end(key_id)
        while len(self._found) > _MOST:
            self._found.popitem(last=False)
        return key
