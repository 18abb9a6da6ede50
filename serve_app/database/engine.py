"""Connections to SQLite and Postgres."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SqliteConnection

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, make_url
from sqlalchemy.pool import ConnectionPoolEntry

# The timeout for locks of other transactions.
BUSY_TIMEOUT_SECONDS = 30.0
_CONNECT_SECONDS = 5
# The pool of each process: connections that stay open, and more under load.
_POOLED, _OVERFLOW = 4, 12
_BEGIN = "stemserve_begin"


def connect(url: str) -> Engine:
    """Return an engine for `url`, of SQLite or Postgres.

    SQLite transactions take the write lock when they begin, and the directory of the
    file is created. Raises ValueError for other URLs, and for SQLite in memory, where
    each connection would have its own database.
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
    """Return `url` with the driver that the service uses.

    Raises ValueError unless it is a URL of Postgres or of a SQLite file.
    """
    try:
        address = make_url(url)
    except exc.ArgumentError:
        # The message leaves out the URL, which may contain a password.
        raise ValueError(
            "the database URL is invalid: expected sqlite:////path/jobs.sqlite3 or "
            "postgresql://user:password@host/name"
        ) from None
    # Many platforms provide `postgres://` URLs.
    if address.drivername in ("postgres", "postgresql"):
        return address.set(drivername="postgresql+psycopg")
    if address.get_backend_name() not in ("sqlite", "postgresql"):
        raise ValueError(
            "the database URL must begin with sqlite or postgresql, got "
            f"{address.drivername}"
        )
    if address.get_backend_name() == "postgresql":
        return address
    if address.database in (None, "", ":memory:"):
        raise ValueError(
            "a SQLite database must be a file, such as sqlite:////path/jobs.sqlite3"
        )
    return address


def _connect_postgres(address: URL) -> Engine:
    milliseconds = round(BUSY_TIMEOUT_SECONDS * 1000)
    settings = {
        # The locks of a killed process must not block the others for long.
        "lock_timeout": milliseconds,
        "statement_timeout": 2 * milliseconds,
        "idle_in_transaction_session_timeout": 2 * milliseconds,
    }
    return create_engine(
        address,
        pool_size=_POOLED,
        max_overflow=_OVERFLOW,
        pool_timeout=BUSY_TIMEOUT_SECONDS,
        # Detects connections that a restart of the server has closed.
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
    """Open a transaction for a single statement; on Postgres this is autocommit."""
    if engine.dialect.name == "sqlite":
        with engine.begin() as connection:
            yield connection
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        yield connection


@contextmanager
def begin_reading(engine: Engine) -> Iterator[Connection]:
    """Open a read-only transaction, which waits for no other transaction."""
    with engine.connect().execution_options(**{_BEGIN: "DEFERRED"}) as connection:
        yield connection


def _make_directory(address: URL) -> None:
    Path(str(address.database)).parent.mkdir(parents=True, exist_ok=True)


def _prepare_sqlite(connection: SqliteConnection, _: ConnectionPoolEntry) -> None:
    # Disables the driver's own BEGIN, which is late and deferred; see `_begin_sqlite`.
    connection.isolation_level = None
    # In WAL mode a lower level may lose the last transactions in a power failure.
    connection.execute("PRAGMA synchronous = FULL")


def _begin_sqlite(connection: Connection) -> None:
    # In DEFERRED mode a transaction that reads before it writes fails without waiting
    # if another one has written in between.
    mode = connection.get_execution_options().get(_BEGIN, "IMMEDIATE")
    connection.exec_driver_sql(f"BEGIN {mode}")
