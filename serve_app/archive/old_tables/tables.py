"""What the archive reads and writes in the old API's tables.

The API reads each table by an identity and expects at most one row. Where the
resolution is null, the unique constraint does not see to that, so whatever reads a
row here to change it first makes one of several.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from serve_app.archive.identity import Identity
from serve_app.archive.media import MediaState
from serve_app.archive.old_tables.errors import RowRefused
from serve_app.archive.old_tables.port import Page, TableName, Tables, Values, Where
from serve_app.archive.old_tables.rows import (
    QueueRow,
    StoreRow,
    id_of,
    identity_of,
    queue_row_of,
    store_row_of,
)

# Of an identity there is one row, but for duplicates.
_ALL = Page(limit=1000)
_BY_IDENTITY = ("mal_id", "episode", "provider", "id")


class OldTables:
    """The two tables, in the words of the archive; see `Tables` for what they raise."""

    def __init__(self, tables: Tables, clock: Callable[[], datetime]) -> None:
        self._tables = tables
        self._clock = clock

    def queued(
        self, statuses: Iterable[MediaState], offset: int, limit: int
    ) -> list[QueueRow]:
        """Return a page of the queue's rows with these statuses, oldest first."""
        where = Where(among={"status": [status.value for status in statuses]})
        page = Page(limit=limit, offset=offset)
        rows = self._tables.select(TableName.QUEUE, where, page)
        return [queue_row_of(row) for row in rows]

    def queue_row(self, identity: Identity) -> QueueRow | None:
        """Return the row of the queue for an identity, the only one from then on.

        Of several, the oldest stays: it has the place in the queue. It gets the URL of
        the newest, and starts again if it had failed, as if the API had found it.
        """
        rows = [queue_row_of(row) for row in self._rows(TableName.QUEUE, identity)]
        if not rows:
            return None
        kept, newest = rows[0], rows[-1]
        if len(rows) == 1:
            return kept
        merged = replace(kept, url=newest.url)
        if kept.status is MediaState.FAILED and newest.status is MediaState.PENDING:
            merged = replace(merged, status=MediaState.PENDING)
        if merged != kept:
            self.change(kept, {"video_url": merged.url, "status": merged.status.value})
        self._drop(TableName.QUEUE, (row.id for row in rows[1:]))
        return merged

    def add_queue_row(
        self, identity: Identity, url: str, status: MediaState, values: Values
    ) -> None:
        """Insert a row; one that was inserted meanwhile stays as it is."""
        now = self._clock().isoformat()
        row = {
            "id": id_of(TableName.QUEUE, identity),
            **_columns(identity),
            "video_url": url,
            "status": status.value,
            "retry_count": 0,
            "created_at": now,
            "updated_at": now,
        }
        self._tables.insert(TableName.QUEUE, {**row, **values})

    def change(self, row: QueueRow, values: Values) -> bool:
        """Change a row; return False if its status is no longer the one that was read.

        Someone has changed it since then, which must not be lost.
        """
        where = Where(equal={"id": row.id, "status": row.status.value})
        now = self._clock().isoformat()
        changed = {**values, "updated_at": now}
        return self._tables.update(TableName.QUEUE, where, changed) > 0

    def find_stored(self, identity: Identity) -> StoreRow | None:
        """Return the newest row of `video_store` for an identity, or None."""
        rows = self._rows(TableName.STORE, identity)
        return store_row_of(rows[-1]) if rows else None

    def has_stored_url(self, url: str) -> bool:
        """Whether a row of `video_store` has this URL for players."""
        where = Where(equal={"hf_direct_url": url})
        return bool(self._tables.select(TableName.STORE, where, Page(limit=1)))

    def put_stored(self, row: StoreRow) -> None:
        """Write the row of `video_store` for its identity, the only one from then on.

        Of several, the newest stays: where the constraint holds, it would have replaced
        the others.
        """
        rows = self._rows(TableName.STORE, row.identity)
        if not rows:
            self._add_stored(row)
            return
        newest = rows[-1]
        if store_row_of(newest) != row:
            where = Where(equal={"id": newest["id"]})
            self._tables.update(TableName.STORE, where, row.location)
        self._drop(TableName.STORE, (each["id"] for each in rows[:-1]))

    def remove_stored(self, identity: Identity) -> None:
        """Delete what `video_store` has for an identity."""
        self._tables.delete(TableName.STORE, Where(equal=_columns(identity)))

    def stored_among(self, mal_ids: Iterable[int]) -> set[Identity]:
        """Return identities that `video_store` has, of these series; or not all."""
        where = Where(among={"mal_id": sorted(set(mal_ids))})
        rows = self._tables.select(TableName.STORE, where, _ALL)
        return {identity_of(row) for row in rows}

    def merge_duplicates(self, table: TableName, offset: int, limit: int) -> int:
        """Make one row of several in a page of rows without resolution.

        Returns the number of rows of the page.
        """
        page = Page(_BY_IDENTITY, limit, offset)
        rows = self._tables.select(table, Where(equal={"resolution": None}), page)
        seen: set[Identity] = set()
        twice: set[Identity] = set()
        for row in rows:
            identity = identity_of(row)
            (twice if identity in seen else seen).add(identity)
        for identity in twice:
            if table is TableName.QUEUE:
                self.queue_row(identity)
            elif (newest := self.find_stored(identity)) is not None:
                self.put_stored(newest)
        return len(rows)

    def _add_stored(self, row: StoreRow) -> None:
        values = {
            **_columns(row.identity),
            **row.location,
            "created_at": self._clock().isoformat(),
        }
        # The page does not say of which type the ids are here.
        try:
            own_id = {"id": id_of(TableName.STORE, row.identity)}
            self._tables.insert(TableName.STORE, {**own_id, **values})
        except RowRefused as err:
            if not err.is_about_type:
                raise
            self._tables.insert(TableName.STORE, values)

    def _rows(self, table: TableName, identity: Identity) -> list[dict[str, Any]]:
        return self._tables.select(table, Where(equal=_columns(identity)), _ALL)

    def _drop(self, table: TableName, ids: Iterable[Any]) -> None:
        if doomed := list(ids):
            self._tables.delete(table, Where(among={"id": doomed}))


def _columns(identity: Identity) -> dict[str, Any]:
    return {
        "mal_id": identity.mal_id,
        "episode": identity.episode,
        "provider": identity.provider,
        "resolution": identity.resolution,
    }
