"""The old API's tables, reached directly."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnClause,
    ColumnElement,
    Connection,
    CursorResult,
    Executable,
    Select,
    TableClause,
    and_,
    bindparam,
    column,
    create_engine,
    delete,
    exc,
    func,
    insert,
    literal_column,
    select,
    table,
    text,
    update,
)
from sqlalchemy.types import NullType

from serve_app.archive.old_tables.errors import RowRefused, TablesUnavailable, error
from serve_app.archive.old_tables.port import Check, Page, TableName, Values, Where
from serve_app.database.engine import parsed

_CONNECT_SECONDS = 5
_TIMEOUT_MILLISECONDS = 15_000
_CHECKS = text(
    "SELECT c.conrelid::regclass::text AS name, c.conname AS conname, "
    "pg_get_constraintdef(c.oid) AS definition "
    "FROM pg_constraint c JOIN pg_attribute a "
    "ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey) "
    "WHERE c.contype = 'c' AND a.attname = :column AND c.conrelid IN "
    "(to_regclass('video_queue'), to_regclass('video_store')) ORDER BY 1, 2"
)


class PostgresTables:
    """The tables in the Postgres at `url`, which may be behind a transaction pooler.

    A transaction there may run on any connection, so nothing is prepared, and no
    setting outlives its transaction.
    """

    def __init__(self, url: str) -> None:
        self._engine = create_engine(
            parsed(url),
            pool_size=2,
            max_overflow=4,
            pool_timeout=_CONNECT_SECONDS,
            pool_pre_ping=True,
            # Else SQLAlchemy looks for an extension, by more queries when it connects.
            use_native_hstore=False,
            connect_args={
                "connect_timeout": _CONNECT_SECONDS,
                "prepare_threshold": None,
                "application_name": "stemserve",
                "tcp_user_timeout": _TIMEOUT_MILLISECONDS,
            },
        )

    def close(self) -> None:
        """Close the idle connections."""
        self._engine.dispose()

    def select(
        self, table: TableName, where: Where, page: Page
    ) -> list[dict[str, Any]]:
        """Return rows, with all columns."""
        query: Select[Any] = (
            select(literal_column("*"))
            .select_from(_table(table))
            .where(_matches(where))
            .order_by(*(_column(name) for name in page.order))
            .limit(page.limit)
            .offset(page.offset)
        )
        with self._run(query) as result:
            return [dict(row) for row in result.mappings()]

    def insert(self, table: TableName, values: Values) -> bool:
        """Insert a row; return False if its id or its identity is taken."""
        statement = insert(_table(table, *values)).values(_bound(values))
        try:
            with self._run(statement):
                return True
        except RowRefused as err:
            if not err.is_taken:
                raise
            return False

    def update(self, table: TableName, where: Where, values: Values) -> int:
        """Change rows, and return how many."""
        changed = update(_table(table, *values)).where(_matches(where))
        with self._run(changed.values(_bound(values))) as result:
            return result.rowcount

    def delete(self, table: TableName, where: Where) -> int:
        """Delete rows, and return how many."""
        with self._run(delete(_table(table)).where(_matches(where))) as result:
            return result.rowcount

    def checks(self, column: str) -> list[Check] | None:
        """Return the check constraints of a column."""
        with self._run(_CHECKS, {"column": column}) as result:
            return [
                Check(
                    TableName(row.name.rpartition(".")[2]), row.conname, row.definition
                )
                for row in result
            ]

    @contextmanager
    def _run(
        self, statement: Executable, parameters: Mapping[str, Any] | None = None
    ) -> Iterator[CursorResult[Any]]:
        try:
            with self._engine.begin() as connection:
                _limit_time(connection)
                yield connection.execute(statement, parameters)
        except exc.DBAPIError as err:
            raise _translated(err) from err
        except exc.TimeoutError as err:
            raise TablesUnavailable(
                "All connections to the old tables are in use."
            ) from err


def _limit_time(connection: Connection) -> None:
    # Until the transaction ends: the next one on this connection may be anyone's.
    limit = func.set_config("statement_timeout", str(_TIMEOUT_MILLISECONDS), True)
    connection.execute(select(limit))


def _translated(err: exc.DBAPIError) -> RowRefused | TablesUnavailable:
    code = getattr(err.orig, "sqlstate", None) or type(err.orig).__name__
    return error(str(code), str(err.orig))


def _table(name: TableName, *columns: str) -> TableClause:
    return table(name.value, *(_column(each) for each in columns))


def _column(name: str) -> ColumnClause[Any]:
    return column(name)


def _value(value: Any) -> BindParameter[Any]:
    # Without a type, so that the database chooses that of the column: an id may be of
    # any type.
    return bindparam(None, value, type_=NullType(), unique=True)


def _bound(values: Values) -> dict[str, BindParameter[Any]]:
    return {name: _value(value) for name, value in values.items()}


def _matches(where: Where) -> ColumnElement[bool]:
    found: list[ColumnElement[bool]] = []
    for name, value in where.equal.items():
        of_row = _column(name)
        found.append(of_row.is_(None) if value is None else of_row == _value(value))
    for name, values in where.among.items():
        found.append(_column(name).in_([_value(value) for value in values]))
    return and_(True, *found)
