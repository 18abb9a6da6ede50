"""The copies of each object: those to make, those to check, and those to delete."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Index,
    Integer,
    String,
    Table,
    Text,
    select,
)

from serve_app.database.columns import UtcDateTime, metadata
from serve_app.database.upsert import insert_into

# A copy that was just made is checked soon, since a deletion may have been under way.
_FIRST_CHECK_SECONDS = 3600.0

archive_copies = Table(
    "archive_copies",
    metadata,
    Column("object_key", Text, primary_key=True),
    Column("store", Text, primary_key=True),
    # Whether the copy shall exist; else it is deleted, and then this row.
    Column("wanted", Boolean, nullable=False),
    # None until it was made, or if it was lost.
    Column("stored_at", UtcDateTime),
    # When it is to be made, checked or deleted.
    Column("due_at", UtcDateTime, nullable=False),
    # Failed attempts in a row.
    Column("failures", Integer, nullable=False),
    # The attempt that is under way, if any.
    Column("claim", String(32)),
    Index("archive_copies_by_turn", "stored_at", "due_at"),
)


def plan(
    connection: Connection,
    object_key: str,
    first: str,
    stores: Iterable[str],
    now: datetime,
) -> None:
    """Have an object copied from its `first` store, which has it, to all others."""
    check_at = now + timedelta(seconds=_FIRST_CHECK_SECONDS)
    for name in dict.fromkeys([first, *stores]):
        times = (now, check_at) if name == first else (None, now)
        _want(connection, object_key, name, True, times)


def forget(
    connection: Connection, object_key: str, stores: Iterable[str], now: datetime
) -> None:
    """Have an object deleted in `stores`, and wherever else a copy was to be."""
    mine = archive_copies.c.object_key == object_key
    known = connection.execute(select(archive_copies.c.store).where(mine)).scalars()
    for name in dict.fromkeys([*stores, *known]):
        _want(connection, object_key, name, False, (None, now))


def _want(
    connection: Connection,
    object_key: str,
    store: str,
    wanted: bool,
    times: tuple[datetime | None, datetime],
) -> None:
    """Set what shall be of a copy, when it was stored, and when it is due."""
    stored_at, due_at = times
    state = {
        "wanted": wanted,
        "stored_at": stored_at,
        "due_at": due_at,
        "failures": 0,
        # An attempt that is under way does not count.
        "claim": None,
    }
    row = insert_into(connection, archive_copies).values(
        object_key=object_key, store=store, **state
    )
    connection.execute(
        row.on_conflict_do_update(index_elements=["object_key", "store"], set_=state)
    )
