"""Inserts that may meet a row with the same key, on each database."""

from collections.abc import Callable, Mapping

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

Insert = postgresql.Insert | sqlite.Insert

_BY_DIALECT: Mapping[str, Callable[[Table], Insert]] = {
    "postgresql": postgresql.insert,
    "sqlite": sqlite.insert,
}


def insert_into(connection: Connection, table: Table) -> Insert:
    """Return an insert into a table that can say what to do on a conflict."""
    return _BY_DIALECT[connection.dialect.name](table)
