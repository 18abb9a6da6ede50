"""The work on copies: they are made, checked now and then, made again, and deleted."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    ColumnElement,
    Connection,
    delete,
    func,
    literal,
    null,
    select,
    true,
    update,
)

from serve_app.archive.copy_rows import archive_copies
from serve_app.archive.media import MediaStore, archive_media
from serve_app.archive.stores import Content, MediaStores
from serve_app.database import Database
from serve_app.database.upsert import insert_into
from serve_app.errors import Unavailable

logger = logging.getLogger(__name__)

CHECK_SECONDS = 7 * 24 * 3600.0
# A check that could not be made, since the store was away, is made after this time.
_CHECK_AGAIN_SECONDS = 600.0
_FIRST_RETRY_SECONDS, _LONGEST_RETRY_SECONDS = 60.0, 3600.0
# After about three hours without a copy anywhere, the object is lost. A disk that is
# not mounted also has no files.
_LOST_AFTER_FAILURES = 8
# If a process is killed, its copy is made again after this time.
_LEASE_SECONDS, _SLOWEST_BYTES_PER_SECOND = 60.0, 10**6
_PLAN_SECONDS = 3600.0
_LONGEST_UPLOAD_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class _Claimed:
    """A row that this process works on."""

    object_key: str
    store: str
    wanted: bool
    failures: int
    content: Content
    claim: str


class Copies:
    """Keeps each object in all stores, on a database that several processes share.

    Methods block, and raise DatabaseUnavailable. `work` and `check` do one thing at a
    time, which may take long: `Copier` calls them. `plan` is quick.
    """

    def __init__(
        self,
        database: Database,
        media: MediaStore,
        stores: MediaStores,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._media = media
        self._stores = stores
        self._clock = clock
        self._plan_at: datetime | None = None

    def work(self) -> bool:
        """Make or delete the copy that is due next; return False if none is due."""
        row = self._claim(archive_copies.c.stored_at.is_(None))
        if row is None:
            return False
        try:
            self._do(row)
        except FileNotFoundError as err:
            self._failed(row, err)
            if row.failures + 1 >= _LOST_AFTER_FAILURES:
                logger.error("archived media lost key=%s", row.object_key)
                self._media.lose(row.object_key)
        except Unavailable as err:
            self._failed(row, err)
        return True

    def check(self) -> bool:
        """Check the copy whose turn it is; return False if none is due.

        One that is lost is made again.
        """
        row = self._claim(archive_copies.c.stored_at.is_not(None))
        if row is None:
            return False
        try:
            is_there = self._stores.has(
                row.store, row.object_key, row.content.size_bytes
            )
        except Unavailable:
            self._end(row, due_in=_CHECK_AGAIN_SECONDS)
            return True
        if is_there:
            self._end(row, due_in=CHECK_SECONDS)
        else:
            logger.warning("copy lost %s", _line(row))
            self._end(row, due_in=0.0, stored_at=None, failures=0)
        return True

    def plan(self) -> None:
        """Plan copies for stores that were added, and forget those that were removed.

        It does so once in an hour, and deletes incomplete files of killed processes.
        """
        now = self._clock()
        if self._plan_at is not None and now < self._plan_at:
            return
        with self._database.writing() as connection:
            for name in self._stores.names:
                _plan_all(connection, name, now)
            self._forget_removed(connection, now)
        self._stores.sweep(before=now - timedelta(seconds=_LONGEST_UPLOAD_SECONDS))
        self._plan_at = now + timedelta(seconds=_PLAN_SECONDS)

    def waiting(self) -> int:
        """Return how many copies are to be made or deleted."""
        query = select(func.count()).where(archive_copies.c.stored_at.is_(None))
        with self._database.reading() as connection:
            found: int = connection.execute(query).scalar_one()
        return found

    def _do(self, row: _Claimed) -> None:
        if not row.wanted:
            self._stores.delete_in(row.store, row.object_key)
            with self._database.writing() as connection:
                connection.execute(delete(archive_copies).where(_mine(row)))
        else:
            self._stores.copy_to(row.store, row.object_key, row.content)
            now = self._clock()
            self._end(row, due_in=CHECK_SECONDS, stored_at=now, failures=0)
        if row.failures:
            logger.info("copy %s %s", "made" if row.wanted else "deleted", _line(row))

    def _failed(self, row: _Claimed, err: Exception) -> None:
        if not row.failures:
            logger.warning(
                "copy not %s yet %s error=%s",
                "made" if row.wanted else "deleted",
                _line(row),
                json.dumps(str(err)),
            )
        delay = _FIRST_RETRY_SECONDS * 2.0 ** min(row.failures, 10)
        self._end(
            row,
            due_in=min(delay, _LONGEST_RETRY_SECONDS),
            failures=row.failures + 1,
        )

    def _claim(self, condition: ColumnElement[bool]) -> _Claimed | None:
        """Claim the row that is due next: deletions first, then the oldest."""
        now, media, copies = self._clock(), archive_media.c, archive_copies.c
        query = (
            select(archive_copies, media.size_bytes, media.sha256)
            .outerjoin(archive_media, media.object_key == copies.object_key)
            .where(
                condition, copies.due_at <= now, copies.store.in_(self._stores.names)
            )
            .order_by(copies.wanted, copies.due_at)
            .limit(1)
        )
        # While nothing is due, nobody waits for the lock of a transaction that writes.
        with self._database.reading() as connection:
            if connection.execute(query).first() is None:
                return None
        # A row that another process is claiming is left to it.
        query = query.with_for_update(of=archive_copies, skip_locked=True)
        with self._database.writing() as connection:
            found = connection.execute(query).first()
            if found is None:
                return None
            row = _Claimed(
                found.object_key,
                found.store,
                found.wanted,
                found.failures,
                Content(found.size_bytes, found.sha256),
                uuid4().hex,
            )
            leased_until = now + timedelta(seconds=_lease_seconds(row))
            connection.execute(
                update(archive_copies)
                .where(_same(row))
                .values(claim=row.claim, due_at=leased_until)
            )
        return row

    def _end(self, row: _Claimed, *, due_in: float, **changes: Any) -> None:
        """End the work on a row, unless it was changed or claimed meanwhile."""
        due_at = self._clock() + timedelta(seconds=due_in)
        with self._database.writing() as connection:
            connection.execute(
                update(archive_copies)
                .where(_mine(row))
                .values(claim=None, due_at=due_at, **changes)
            )

    def _forget_removed(self, connection: Connection, now: datetime) -> None:
        names = self._stores.names
        removed = archive_copies.c.store.not_in(names)
        connection.execute(delete(archive_copies).where(removed))
        # Another store takes the place of the first one.
        other = (
            select(func.min(archive_copies.c.store))
            .where(
                archive_copies.c.object_key == archive_media.c.object_key,
                archive_copies.c.stored_at.is_not(None),
            )
            .scalar_subquery()
        )
        connection.execute(
            update(archive_media)
            .where(archive_media.c.store.not_in(names), other.is_not(None))
            .values(store=other, updated_at=now)
        )


def _plan_all(connection: Connection, store: str, now: datetime) -> None:
    """Plan a copy in a store of each object that has none planned there."""
    media, copies = archive_media.c, archive_copies.c
    is_planned = select(1).where(
        copies.object_key == media.object_key, copies.store == store
    )
    missing = select(
        media.object_key,
        literal(store),
        true(),
        null(),
        literal(now, archive_copies.c.due_at.type),
        literal(0),
    ).where(media.object_key.is_not(None), ~is_planned.exists())
    names = ("object_key", "store", "wanted", "stored_at", "due_at", "failures")
    rows = insert_into(connection, archive_copies)
    connection.execute(rows.from_select(names, missing).on_conflict_do_nothing())


def _lease_seconds(row: _Claimed) -> float:
    size_bytes = row.content.size_bytes or 0
    return _LEASE_SECONDS + size_bytes / _SLOWEST_BYTES_PER_SECOND


def _same(row: _Claimed) -> ColumnElement[bool]:
    copies = archive_copies.c
    return (copies.object_key == row.object_key) & (copies.store == row.store)


def _mine(row: _Claimed) -> ColumnElement[bool]:
    return _same(row) & (archive_copies.c.claim == row.claim)


def _line(row: _Claimed) -> str:
    return f"store={row.store} key={row.object_key}"
