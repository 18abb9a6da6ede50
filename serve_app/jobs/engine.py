"""Connections to the database of jobs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SqliteConnection

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.pool import ConnectionPoolEntry

# How long a transaction waits for another one to end before it gives up.
BUSY_TIMEOUT_SECONDS = 30.0
_BEGIN = "stemserve_begin"


def connect(url: str) -> Engine:
    """Return an engine for `url`; transactions on SQLite write from their beginning.

    The directory of a SQLite file is made. A database in memory is refused: every
    connection would have its own.
    """
    address = make_url(url)
    if address.get_backend_name() != "sqlite":
        return create_engine(address, pool_pre_ping=True)
    _make_directory(address)
    engine = create_engine(address, connect_args={"timeout": BUSY_TIMEOUT_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


@contextmanager
def begin_reading(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that only reads, and so waits for nobody."""
    with engine.connect().execution_options(**{_BEGIN: "DEFERRED"}) as connection:
        yield connection


def _make_directory(address: URL) -> None:
    if address.database in (None, "", ":memory:"):
        raise ValueError("jobs need a database in a file: sqlite:////path/jobs.sqlite3")
    Path(str(address.database)).parent.mkdir(parents=True, exist_ok=True)


def _prepare_sqlite(connection: SqliteConnection, _: ConnectionPoolEntry) -> None:
    # The driver's own BEGIN comes late and deferred; ours is in `_begin_sqlite`.
    connection.isolation_level = None
    # In WAL mode anything less may lose the last transactions when the power fails.
    connection.execute("PRAGMA synchronous = FULL")


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later fails at once, without waiting,
    # when another one has written in between.
    mode = connection.get_execution_options().get(_BEGIN, "IMMEDIATE")
    connection.exec_driver_sql(f"BEGIN {mode}")
