"""The database that all stores share: its connections, transactions and schema."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, exc, text

from serve_app.database import engine
from serve_app.database.migrations import upgrade
from serve_app.errors import DatabaseUnavailable

_CLOCK = text("SELECT clock_timestamp()")

# Gets the reason of a transaction that failed because the database is unavailable.
OnError = Callable[[str], None]
_REASONS: Mapping[type[Exception], str] = {
    exc.OperationalError: "operational",  # such as no connection, or a full disk
    exc.InterfaceError: "interface",
    exc.TimeoutError: "pool_timeout",  # all connections of this process are in use
}


class Database:
    """The database at `url`; opening it upgrades its schema.

    A context manager that closes it. Transactions are durable once they have ended.
    They raise DatabaseUnavailable if the database is unreachable, after a call of
    `on_error`.
    """

    def __init__(self, url: str, on_error: OnError = lambda _: None) -> None:
        self._engine = engine.connect(url)
        self._on_error = on_error
        with self._translated():
            upgrade(self._engine)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the idle connections."""
        self._engine.dispose()

    def writing(self) -> AbstractContextManager[Connection]:
        """Open a transaction that writes."""
        return self._translating(self._engine.begin())

    def reading(self) -> AbstractContextManager[Connection]:
        """Open a read-only transaction, which waits for no other transaction."""
        return self._translating(engine.begin_reading(self._engine))

    def time(self) -> datetime | None:
        """Return the time of the database server, or None for SQLite."""
        if self._engine.dialect.name == "sqlite":
            return None
        with self.statement() as connection:
            found: datetime = connection.execute(_CLOCK).scalar_one()
        return found

    def statement(self) -> AbstractContextManager[Connection]:
        """Open a transaction for one statement, which costs less."""
        return self._translating(engine.begin_statement(self._engine))

    @contextmanager
    def _translating(
        self, transaction: AbstractContextManager[Connection]
    ) -> Iterator[Connection]:
        with self._translated(), transaction as connection:
            yield connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except tuple(_REASONS) as err:
            kinds = (kind for kind in _REASONS if isinstance(err, kind))
            self._on_error(_REASONS[next(kinds)])
            raise DatabaseUnavailable(
                "The job database is unreachable, or its disk is full. Try again in a "
                "moment."
            ) from err
