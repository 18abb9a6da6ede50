"""The API server's side of the old tables, as the contract describes it."""

from collections.abc import Mapping
from functools import cached_property
from importlib.resources import files
from typing import Any

import psycopg
from psycopg.rows import dict_row

from serve_app.archive.identity import Identity

_SAME = (
    "(mal_id, episode, provider) = (%(mal_id)s, %(episode)s, %(provider)s) "
    "AND resolution IS NOT DISTINCT FROM %(resolution)s"
)


class ApiServer:
    """What the API server, and an operator's psql, do with the tables at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def create(self) -> None:
        """Make the tables and the functions."""
        self.run(files("tests.old_tables").joinpath("tables.sql").read_text())

    def clear(self) -> None:
        """Delete all rows."""
        self.run("TRUNCATE video_queue, video_store")

    def enqueue(self, identity: Identity, url: str) -> None:
        """Add to the queue, as the API does for what it has no row of."""
        self.run(
            "SELECT enqueue_video(%(mal_id)s, %(episode)s, %(provider)s, %(url)s, "
            "%(resolution)s)",
            {**vars(identity), "url": url},
        )

    def queue(self, identity: Identity) -> dict[str, Any] | None:
        """Return the row of the queue, if there is exactly one."""
        return _single(self.rows("video_queue", identity))

    def stored(self, identity: Identity) -> dict[str, Any] | None:
        """Return the row of `video_store`, if there is exactly one."""
        return _single(self.rows("video_store", identity))

    def rows(self, table: str, identity: Identity) -> list[dict[str, Any]]:
        """Return all rows of an identity."""
        return self.run(
            f"SELECT * FROM {table} WHERE {_SAME} ORDER BY created_at",  # noqa: S608
            vars(identity),
        )

    def run(
        self, statement: str, values: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Run a statement, and return its rows."""
        cursor = self.connection.execute(statement, values)  # type: ignore[call-overload]
        return cursor.fetchall() if cursor.description else []

    @cached_property
    def connection(self) -> psycopg.Connection[dict[str, Any]]:
        """A connection on which each statement is a transaction of its own."""
        return psycopg.connect(self.url, autocommit=True, row_factory=dict_row)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def _single(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    # Of several rows, its `maybeSingle()` sees none.
    return rows[0] if len(rows) == 1 else None
