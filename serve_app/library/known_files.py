"""The files that users have, to find duplicates where no server does."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Column, String, Table, Text, select

from serve_app.database import Database
from serve_app.database.columns import UtcDateTime, metadata
from serve_app.database.upsert import insert_into
from serve_app.library.task import Task

library_files = Table(
    "library_files",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("sha256", String(64), primary_key=True),
    Column("stem_id", Text, nullable=False),
    Column("track_id", Text),
    Column("filepath", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)
_KEY = (library_files.c.user_id, library_files.c.sha256)


class KnownFiles:
    """The first file of each content that each user sent; methods block."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def earlier(self, task: Task, sha256: str) -> Mapping[str, Any] | None:
        """Return the user's earlier file with this content, or keep this one.

        The same file, by its stem and its key, is no duplicate of itself.
        """
        user_id = str(task.kwargs["userId"])
        track_id = task.kwargs.get("trackId")
        row = {
            "user_id": user_id,
            "sha256": sha256,
            "stem_id": task.subject,
            "track_id": None if track_id is None else str(track_id),
            "filepath": task.filepath,
            "created_at": self._clock(),
        }
        query = select(library_files).where(
            library_files.c.user_id == user_id, library_files.c.sha256 == sha256
        )
        with self._database.writing() as connection:
            insert = insert_into(connection, library_files)
            connection.execute(
                insert.values(**row).on_conflict_do_nothing(index_elements=_KEY)
            )
            found = connection.execute(query).one()
        if (found.stem_id, found.filepath) == (task.subject, task.filepath):
            return None
        return {
            "stemId": found.stem_id,
            "trackId": found.track_id,
            "filepath": found.filepath,
        }
