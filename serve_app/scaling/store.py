"""What the database knows of a pool's work."""

from datetime import datetime, timedelta

from sqlalchemy import case, func, select

from serve_app.database import Database
from serve_app.jobs.job import State
from serve_app.jobs.table import queue
from serve_app.usage import table

# What is left of a job that is nearly done, so that its replica counts.
_LEAST_SECONDS = 1.0


class WorkStore:
    """Reads the work of one kind of jobs; methods block and may raise Unavailable."""

    def __init__(self, database: Database, kind: str) -> None:
        self._database = database
        self._kind = kind

    def usual_speed(self, now: datetime) -> float | None:
        """Return how much audio a replica separates in a second; None if unknown.

        It is that of all jobs that ended today and yesterday. Jobs that took no device
        count too, so that it may be too high.
        """
        since = table.day_of(now) - timedelta(days=1)
        query = select(
            func.sum(table.usage.c.audio_seconds),
            func.sum(table.usage.c.device_seconds),
        ).where(table.usage.c.day >= since)
        with self._database.reading() as connection:
            audio_seconds, device_seconds = connection.execute(query).one()
        return float(audio_seconds) / float(device_seconds) if device_seconds else None

    def demand(self, speed: float, goal_seconds: float) -> float:
        """Return `demand.replicas` of all unfinished jobs.

        Jobs that wait for another one's result are no work.
        """
        most_seconds = speed * goal_seconds
        left = queue.c.song_seconds * (1 - queue.c.progress)
        left = case((left < _LEAST_SECONDS, _LEAST_SECONDS), else_=left)
        share = case((left > most_seconds, 1.0), else_=left / most_seconds)
        query = select(func.sum(share)).where(
            queue.c.kind == self._kind,
            queue.c.state.in_((State.QUEUED.value, State.RUNNING.value)),
            queue.c.waits_for.is_(None),
        )
        with self._database.reading() as connection:
            return float(connection.execute(query).scalar_one() or 0.0)
