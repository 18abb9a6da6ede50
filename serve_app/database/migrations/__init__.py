"""The versions of the database's schema, and the way from one to the next."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from filelock import FileLock
from sqlalchemy import Connection, Engine, text

# Any number that nothing else in the same Postgres locks: "stems" in ASCII.
_ADVISORY_LOCK = 0x7374656D73


def upgrade(engine: Engine) -> None:
    """Bring the database of `engine` to the newest schema, from whichever it has.

    Processes that start at once take turns; the second finds nothing to do. A step that
    fails leaves the schema as it was.
    """
    config = Config()
    config.set_main_option("script_location", "serve_app.database:migrations")
    with _alone(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    if engine.dialect.name == "sqlite":
        with _alone_on_file(engine) as connection:
            yield connection
        return
    with engine.begin() as connection:
        lock = text("SELECT pg_advisory_xact_lock(:key)")
        connection.execute(lock, {"key": _ADVISORY_LOCK})
        yield connection


@contextmanager
def _alone_on_file(engine: Engine) -> Iterator[Connection]:
    path = Path(str(engine.url.database))
    # BEGIN IMMEDIATE would do for the steps, but two that change a new file's journal
    # mode at once fail at once: SQLite does not wait there.
    with FileLock(f"{path}.lock"):
        with engine.connect() as connection:
            driver = connection.connection.cursor()
            driver.execute("PRAGMA journal_mode = WAL")
            driver.close()
        with engine.begin() as connection:
            yield connection
