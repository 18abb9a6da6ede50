"""Transactions that must not overlap."""

from sqlalchemy import Connection, text

# Any number that nothing else in the same Postgres locks: "queue" in ASCII.
_ADVISORY_LOCK = 0x7175657565


def take_turns(connection: Connection) -> None:
    """Block other transactions that call this until this one has ended."""
    # On SQLite every transaction that writes holds the write lock from its beginning.
    if connection.dialect.name == "postgresql":
        lock = text("SELECT pg_advisory_xact_lock(:key)")
        connection.execute(lock, {"key": _ADVISORY_LOCK})
