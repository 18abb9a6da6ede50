"""The tenants that own jobs, of all kinds."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import not_, or_, select

from serve_app.database import Database
from serve_app.jobs.table import queue


class Owners:
    """Checks the tenants of jobs; methods block and may raise Unavailable."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def owns(self, tenant: str, job_id: str) -> bool:
        """Whether a job is the tenant's, and neither deleted nor expired.

        Another tenant's takes as long as an unknown one.
        """
        now = self._clock()
        query = select(queue.c.id).where(
            queue.c.id == job_id,
            queue.c.tenant == tenant,
            not_(queue.c.cancel_requested),
            or_(queue.c.expires_at.is_(None), queue.c.expires_at > now),
        )
        with self._database.reading() as connection:
            return connection.execute(query).first() is not None
