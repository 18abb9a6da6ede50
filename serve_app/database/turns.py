"""Transactions that must not overlap."""

from sqlalchemy import Connection, text

# Any number that nothing else in the same Postgres locks: "queue" in ASCII.
_ADVISORY_LOCK = 0x7175657565


def take_turns(connection: Connection) -> None:
    """Keep other transactions that take turns waiting until this one has ended."""
    # On SQLite every transaction that writes is alone from its beginning.
    if connection.dialect.name == "postgresql":
        lock = text("SELECT pg_advisory_xact_lock(:key)")
        connection.execute(lock, {"key": _ADVISORY_LOCK})
