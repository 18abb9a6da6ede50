"""The migrations of the database schema."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from filelock import FileLock
from sqlalchemy import Connection, Engine, inspect, text

logger = logging.getLogger(__name__)

# Any number that nothing else in the same Postgres locks: "stems" in ASCII.
_ADVISORY_LOCK = 0x7374656D73

VERSION_TABLE = "schema_version"
# Versions up to 0010 read this table, and fail on an unknown revision.
_OLD_VERSION_TABLE, _OLD_VERSION = "alembic_version", "0010"


def upgrade(engine: Engine) -> None:
    """Upgrade the database of `engine` to the newest schema.

    Processes that start at the same time take turns. A migration that fails leaves the
    schema unchanged. A newer schema is not changed either: the service can use the
    schema of the next version.
    """
    config = Config()
    config.set_main_option("script_location", "serve_app.database:migrations")
    scripts = ScriptDirectory.from_config(config)
    with _alone(engine) as connection:
        _move_version(connection)
        found = _version(connection, VERSION_TABLE)
        if found is not None and found not in _known(scripts):
            logger.warning(
                "database schema is newer than this version version=%s", found
            )
            return
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        _tell_old_versions(connection, scripts)


def _known(scripts: ScriptDirectory) -> set[str]:
    return {script.revision for script in scripts.walk_revisions()}


def _version(connection: Connection, table: str) -> str | None:
    if not inspect(connection).has_table(table):
        return None
    query = text(f"SELECT version_num FROM {table}")  # noqa: S608  a constant
    found: str | None = connection.execute(query).scalar()
    return found


def _move_version(connection: Connection) -> None:
    """Copy the version from the table that held it before 0011."""
    found = _version(connection, _OLD_VERSION_TABLE)
    if found is not None and _version(connection, VERSION_TABLE) is None:
        _write_version(connection, VERSION_TABLE, found)


def _tell_old_versions(connection: Connection, scripts: ScriptDirectory) -> None:
    """Let the previous version start on Postgres, where views show it its tables.

    SQLite has no such views: there the previous version refuses the file.
    """
    is_postgres = connection.dialect.name == "postgresql"
    version = _OLD_VERSION if is_postgres else scripts.get_current_head()
    if version is not None:
        _write_version(connection, _OLD_VERSION_TABLE, version)


def _write_version(connection: Connection, table: str, version: str) -> None:
    connection.execute(
        text(
            f"CREATE TABLE IF NOT EXISTS {table} "
            "(version_num VARCHAR(32) NOT NULL PRIMARY KEY)"
        )
    )
    connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608  a constant
    insert = text(f"INSERT INTO {table} VALUES (:version)")  # noqa: S608
    connection.execute(insert, {"version": version})


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
    # BEGIN IMMEDIATE would suffice for the migrations, but SQLite fails without waiting
    # if two connections change the journal mode at once.
    with FileLock(f"{path}.lock"):
        with engine.connect() as connection:
            driver = connection.connection.cursor()
            driver.execute("PRAGMA journal_mode = WAL")
            driver.close()
        with engine.begin() as connection:
            yield connection
