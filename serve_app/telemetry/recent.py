"""What the database tells about jobs that ended a short time ago."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from serve_app.database import Database
from serve_app.jobs.job import State
from serve_app.jobs.table import queue

SPEED_SECONDS = 300.0
MOST_FAILURES = 20
_LONGEST_DETAIL = 500


@dataclass(frozen=True)
class Failure:
    """A job that failed: when, its kind, its error code, and why."""

    at: datetime
    kind: str
    reason: str
    detail: str


@dataclass(frozen=True)
class RecentFacts:
    """The audio of jobs that succeeded in `SPEED_SECONDS`, by kind; the last failures.

    The audio is what the metric `stemserve_audio_seconds` counts: not that of jobs with
    the result of another. Jobs that were deleted meanwhile are missing.
    """

    audio_seconds: Mapping[str, float] = field(default_factory=dict)
    failures: Sequence[Failure] = ()


class RecentStore:
    """Reads the facts; its method blocks and may raise Unavailable."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def facts(self) -> RecentFacts:
        """Return the facts of now."""
        since = self._clock() - timedelta(seconds=SPEED_SECONDS)
        with self._database.reading() as connection:
            return RecentFacts(
                _audio_seconds(connection, since), tuple(_failures(connection))
            )


def _audio_seconds(connection: Connection, since: datetime) -> Mapping[str, float]:
    query = select(queue.c.kind, func.sum(queue.c.audio_seconds)).where(
        queue.c.state == State.SUCCEEDED.value,
        queue.c.updated_at > since,
        # Others were completed when they were sent, or have another's result.
        queue.c.attempt > 0,
        queue.c.result["cache"].as_string().is_(None),
    )
    rows = connection.execute(query.group_by(queue.c.kind))
    return {kind: float(seconds) for kind, seconds in rows}


def _failures(connection: Connection) -> list[Failure]:
    query = select(
        queue.c.updated_at, queue.c.kind, queue.c.error_code, queue.c.error
    ).where(queue.c.state == State.FAILED.value)
    newest = query.order_by(queue.c.updated_at.desc()).limit(MOST_FAILURES)
    return [
        Failure(at, kind, code or "", (detail or "")[:_LONGEST_DETAIL])
        for at, kind, code, detail in connection.execute(newest)
    ]
