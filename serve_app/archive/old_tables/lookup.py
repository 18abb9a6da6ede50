"""Media that the archive before this one has stored."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

from serve_app.archive.identity import Identity
from serve_app.archive.old_tables.tables import OldTables

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

# Players ask for each range again.
_KEPT_SECONDS = 30.0
_MOST = 10_000


class Lookup:
    """Finds rows of `video_store`, and keeps what it found for 30 s; thread-safe.

    Methods block, and raise TablesUnavailable.
    """

    def __init__(
        self, tables: OldTables, clock_seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._tables = tables
        self._urls: _Kept[Identity, str | None] = _Kept(clock_seconds)
        self._known: _Kept[str, bool] = _Kept(clock_seconds)

    def url_of(self, identity: Identity) -> str | None:
        """Return the URL of an identity for players, or None."""
        return self._urls.get(identity, self._find)

    def has_url(self, url: str) -> bool:
        """Whether a row has this URL for players."""
        return self._known.get(url, self._tables.has_stored_url)

    def _find(self, identity: Identity) -> str | None:
        row = self._tables.find_stored(identity)
        return None if row is None else row.hf_direct_url


class _Kept(Generic[K, T]):
    """Answers by what was asked, the newest of them, each for a while; thread-safe."""

    def __init__(self, clock_seconds: Callable[[], float]) -> None:
        self._clock_seconds = clock_seconds
        self._found: OrderedDict[K, tuple[float, T]] = OrderedDict()
        self._lock = Lock()

    def get(self, asked: K, find: Callable[[K], T]) -> T:
        """Return the answer that is kept, or else that of `find`; an error is not."""
        now = self._clock_seconds()
        with self._lock:
            known = self._found.get(asked)
        if known is not None and now < known[0]:
            return known[1]
        found = find(asked)
        with self._lock:
            self._found[asked] = (now + _KEPT_SECONDS, found)
            self._found.move_to_end(asked)
            while len(self._found) > _MOST:
                self._found.popitem(last=False)
        return found
