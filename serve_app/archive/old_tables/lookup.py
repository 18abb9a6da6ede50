"""Media that the archive before this one has stored."""

import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from serve_app.archive.identity import Identity
from serve_app.archive.old_tables.rows import StoreRow
from serve_app.archive.old_tables.tables import OldTables

# Players ask for each range again.
_KEPT_SECONDS = 30.0
_MOST = 10_000


class Lookup:
    """Finds rows of `video_store`, and keeps what it found for 30 s; thread-safe."""

    def __init__(
        self, tables: OldTables, clock_seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._tables = tables
        self._clock_seconds = clock_seconds
        self._found: OrderedDict[Identity, tuple[float, StoreRow | None]] = (
            OrderedDict()
        )
        self._lock = Lock()

    def __call__(self, identity: Identity) -> StoreRow | None:
        """Return the row of an identity, or None; raise TablesUnavailable."""
        now = self._clock_seconds()
        with self._lock:
            known = self._found.get(identity)
        if known is not None and now < known[0]:
            return known[1]
        row = self._tables.find_stored(identity)
        with self._lock:
            self._found[identity] = (now + _KEPT_SECONDS, row)
            self._found.move_to_end(identity)
            while len(self._found) > _MOST:
                self._found.popitem(last=False)
        return row
