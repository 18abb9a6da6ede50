"""The tenants that own jobs, of all kinds."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import not_, or_, select

from serve_app.database import Database
from serve_app.jobs.table import queue


class Owners:
    """Looks up the tenants of jobs; methods block and may raise Unavailable."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def owner(self, job_id: str) -> str | None:
        """Return the tenant of a job, or None if it is unknown, deleted or expired."""
        now = self._clock()
        query = select(queue.c.tenant).where(
            queue.c.id == job_id,
            not_(queue.c.cancel_requested),
            or_(queue.c.expires_at.is_(None), queue.c.expires_at > now),
        )
        with self._database.reading() as connection:
            found: str | None = connection.execute(query).scalar()
        return found
