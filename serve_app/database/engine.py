"""Connections to the database, of SQLite or Postgres."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SqliteConnection

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, make_url
from sqlalchemy.pool import ConnectionPoolEntry

# How long a transaction waits for another one to end before it gives up.
BUSY_TIMEOUT_SECONDS = 30.0
_CONNECT_SECONDS = 5
# Connections that one process keeps, and how many more it opens when busy.
_POOLED, _OVERFLOW = 4, 12
_BEGIN = "stemserve_begin"


def connect(url: str) -> Engine:
    """Return an engine for `url`, of SQLite or Postgres.

    Transactions on SQLite write from their beginning, and the directory of its file is
    made; a database in memory is refused: every connection would have its own. Raises
    ValueError for what is no address of either.
    """
    address = parsed(url)
    if address.get_backend_name() == "postgresql":
        return _connect_postgres(address)
    _make_directory(address)
    engine = create_engine(address, connect_args={"timeout": BUSY_TIMEOUT_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def parsed(url: str) -> URL:
    """Return the address with the driver that we use.

    Raises ValueError for what is neither of Postgres nor of a SQLite file.
    """
    try:
        address = make_url(url)
    except exc.ArgumentError:
        # Not its text, which could hold a password.
        raise ValueError("the database's URL can't be read") from None
    # `postgres://` is what many platforms hand out.
    if address.drivername in ("postgres", "postgresql"):
        return address.set(drivername="postgresql+psycopg")
    if address.get_backend_name() not in ("sqlite", "postgresql"):
        raise ValueError(
            f"{address.drivername} is no database for jobs: sqlite or postgresql are"
        )
    if address.get_backend_name() == "postgresql":
        return address
    if address.database in (None, "", ":memory:"):
        raise ValueError("jobs need a database in a file: sqlite:////path/jobs.sqlite3")
    return address


def _connect_postgres(address: URL) -> Engine:
    milliseconds = round(BUSY_TIMEOUT_SECONDS * 1000)
    settings = {
        # Whoever is killed in the middle must not hold up the others for long.
        "lock_timeout": milliseconds,
        "statement_timeout": 2 * milliseconds,
        "idle_in_transaction_session_timeout": 2 * milliseconds,
    }
    return create_engine(
        address,
        pool_size=_POOLED,
        max_overflow=_OVERFLOW,
        pool_timeout=BUSY_TIMEOUT_SECONDS,
        # A server that has restarted costs a question, not an error.
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": _CONNECT_SECONDS,
            "application_name": "stemserve",
            "options": " ".join(
                f"-c {name}={value}" for name, value in settings.items()
            ),
        },
    )


@contextmanager
def begin_statement(engine: Engine) -> Iterator[Connection]:
    """Open a transaction for a single statement: on Postgres that needs no more."""
    if engine.dialect.name == "sqlite":
        with engine.begin() as connection:
            yield connection
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        yield connection


@contextmanager
def begin_reading(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that only reads, and so waits for nobody."""
    with engine.connect().execution_options(**{_BEGIN: "DEFERRED"}) as connection:
        yield connection


def _make_directory(address: URL) -> None:
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
