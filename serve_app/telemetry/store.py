"""What the database tells about jobs, messages and tenants."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, case, func, or_, select

from serve_app.database import Database
from serve_app.jobs.job import State
from serve_app.jobs.table import queue
from serve_app.usage.table import day_of, usage
from serve_app.webhooks.delivery import DeliveryState
from serve_app.webhooks.outbox import is_next
from serve_app.webhooks.table import messages

_MOST_TENANTS = 5
# They are kept until their job expires, but are not sent again.
_DEAD = (DeliveryState.FAILED.value, DeliveryState.DISABLED.value)


@dataclass(frozen=True)
class JobFacts:
    """The number of jobs by (kind, state, reason), and the size of files by kind.

    The reason is the error code of failed jobs, else empty.
    """

    jobs: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    stored_bytes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class QueueFacts:
    """The queued jobs of a kind: how long the oldest is ready, and their audio."""

    oldest_seconds: float = 0.0
    audio_seconds: float = 0.0


@dataclass(frozen=True)
class OutboxFacts:
    """The messages of a channel, and for how long the oldest due one has been due."""

    waiting: int = 0
    dead: int = 0
    oldest_seconds: float = 0.0


@dataclass(frozen=True)
class TenantFacts:
    """How many tenants there are today, and the audio of those with the most."""

    tenants: int = 0
    most_audio_seconds: Sequence[float] = ()


@dataclass(frozen=True)
class DatabaseFacts:
    """All facts of one moment; kinds and channels without rows are left out."""

    jobs: JobFacts = field(default_factory=JobFacts)
    queues: Mapping[str, QueueFacts] = field(default_factory=dict)
    leases_expired: Mapping[str, int] = field(default_factory=dict)
    outbox: Mapping[str, OutboxFacts] = field(default_factory=dict)
    tenants: TenantFacts = field(default_factory=TenantFacts)


class TelemetryStore:
    """Reads the facts; its method blocks and may raise Unavailable."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def facts(self) -> DatabaseFacts:
        """Return the facts of now."""
        now = self._clock()
        with self._database.reading() as connection:
            return DatabaseFacts(
                _jobs(connection, now),
                _queues(connection, now),
                _leases_expired(connection, now),
                _outbox(connection, now),
                _tenants(connection, now),
            )


def _jobs(connection: Connection, now: datetime) -> JobFacts:
    # The index `queue_by_outcome` has all these columns.
    is_kept = or_(queue.c.expires_at.is_(None), queue.c.expires_at > now)
    key = (queue.c.kind, queue.c.state, queue.c.error_code)
    query = select(
        *key, func.count(), func.sum(case((is_kept, queue.c.stored_bytes), else_=0))
    )
    jobs: dict[tuple[str, str, str], int] = {}
    stored_bytes: dict[str, int] = {}
    for kind, state, code, number, size_bytes in connection.execute(
        query.group_by(*key)
    ):
        # Other jobs may have the error of an earlier attempt.
        reason = (code or "") if state == State.FAILED else ""
        jobs[kind, state, reason] = jobs.get((kind, state, reason), 0) + number
        stored_bytes[kind] = stored_bytes.get(kind, 0) + int(size_bytes)
    return JobFacts(jobs, stored_bytes)


def _queues(connection: Connection, now: datetime) -> Mapping[str, QueueFacts]:
    is_ready = and_(
        queue.c.waits_for.is_(None),
        or_(queue.c.available_at.is_(None), queue.c.available_at <= now),
    )
    ready_at = func.coalesce(queue.c.available_at, queue.c.created_at)
    query = select(
        queue.c.kind,
        func.min(case((is_ready, ready_at))),
        func.sum(queue.c.audio_seconds),
    )
    query = query.where(queue.c.state == State.QUEUED.value)
    return {
        kind: QueueFacts(_age_seconds(since, now), float(audio_seconds))
        for kind, since, audio_seconds in connection.execute(
            query.group_by(queue.c.kind)
        )
    }


def _leases_expired(connection: Connection, now: datetime) -> Mapping[str, int]:
    query = select(queue.c.kind, func.count()).where(
        queue.c.state == State.RUNNING.value, queue.c.lease_expires_at <= now
    )
    return _by_first(connection, query.group_by(queue.c.kind))


def _outbox(connection: Connection, now: datetime) -> Mapping[str, OutboxFacts]:
    query = select(
        messages.c.channel,
        func.sum(case((messages.c.state == DeliveryState.PENDING.value, 1), else_=0)),
        func.sum(case((messages.c.state.in_(_DEAD), 1), else_=0)),
        func.min(case((is_next, messages.c.due_at))),
    )
    return {
        channel: OutboxFacts(int(waiting), int(dead), _age_seconds(due_at, now))
        for channel, waiting, dead, due_at in connection.execute(
            query.group_by(messages.c.channel)
        )
    }


def _tenants(connection: Connection, now: datetime) -> TenantFacts:
    is_today = usage.c.day == day_of(now)
    tenants = select(func.count()).select_from(usage).where(is_today)
    most = select(usage.c.audio_seconds).where(is_today)
    most = most.order_by(usage.c.audio_seconds.desc()).limit(_MOST_TENANTS)
    return TenantFacts(
        int(connection.execute(tenants).scalar_one()),
        tuple(connection.execute(most).scalars()),
    )


def _by_first(connection: Connection, query: Any) -> Mapping[str, int]:
    return {name: int(number) for name, number in connection.execute(query)}


def _age_seconds(since: datetime | None, now: datetime) -> float:
    """Return the seconds since a time; 0 for None and for a time to come."""
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())
