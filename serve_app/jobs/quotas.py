"""The quotas of a tenant, counted by its jobs in the database."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from math import ceil

from sqlalchemy import Connection, func, or_, select

from serve_app.errors import AppError, AudioTooLong, QuotaExceeded
from serve_app.jobs.job import AnyJob, State
from serve_app.jobs.table import queue
from serve_app.usage import table as usage
from serve_app.usage.quotas import NO_QUOTAS, Quotas

# Other jobs of the tenant may end, or be deleted, at any time.
RETRY_AFTER_SECONDS = 15

_UNDER_WAY = (State.QUEUED.value, State.RUNNING.value)


@dataclass(frozen=True)
class Demand:
    """What a new job of a client takes of its quotas.

    The defaults are those of a job that is not known yet: as little as possible.
    """

    kind: str
    client: str
    tenant: str = ""
    is_queued: bool = True
    audio_seconds: float = 0.0
    stored_bytes: int = 0


def demand_of(kind: str, job: AnyJob) -> Demand:
    """Return what `job` takes."""
    return Demand(
        kind,
        job.client,
        job.tenant,
        not job.state.is_final,
        job.audio_seconds,
        job.stored_bytes,
    )


def check(
    connection: Connection, quotas: Quotas, demand: Demand, now: datetime
) -> None:
    """Raise QuotaExceeded unless `quotas` leave room for the demand.

    Raises AudioTooLong if they never will.
    """
    if quotas == NO_QUOTAS:
        return
    checks: tuple[Callable[[Connection, Quotas, Demand, datetime], None], ...] = (
        _check_queued,
        _check_minutes,
        _check_stored,
    )
    for each in checks:
        each(connection, quotas, demand, now)


def _check_queued(
    connection: Connection, quotas: Quotas, demand: Demand, now: datetime
) -> None:
    most = quotas.jobs_queued
    if most is None or not demand.is_queued:
        return
    query = select(func.count()).where(
        queue.c.kind == demand.kind,
        queue.c.client == demand.client,
        queue.c.state == State.QUEUED.value,
    )
    queued = connection.execute(query).scalar_one()
    if queued >= most:
        raise QuotaExceeded(
            f"{queued} of your jobs are queued, and your quota is {most}. Try again in "
            f"{RETRY_AFTER_SECONDS} seconds.",
            RETRY_AFTER_SECONDS,
        )


def _check_minutes(
    connection: Connection, quotas: Quotas, demand: Demand, now: datetime
) -> None:
    minutes = quotas.audio_minutes_per_day
    if minutes is None:
        return
    most_seconds = minutes * 60
    if demand.audio_seconds > most_seconds:
        raise _never(f"{minutes:g} minutes of audio a day", "song", "shorter songs")
    midnight = datetime.combine(usage.day_of(now), time(), UTC)
    used_seconds = _seconds_since(connection, demand.tenant, midnight)
    if _has_room(used_seconds, demand.audio_seconds, most_seconds):
        return
    left = ceil((midnight + timedelta(days=1) - now).total_seconds())
    raise QuotaExceeded(
        f"{used_seconds / 60:.1f} minutes of audio were used today, and your quota is "
        f"{minutes:g} a day{_more(demand.audio_seconds)}. Try again after midnight "
        f"UTC, in {left} seconds.",
        left,
    )


def _check_stored(
    connection: Connection, quotas: Quotas, demand: Demand, now: datetime
) -> None:
    most = quotas.stored_bytes
    if most is None:
        return
    if demand.stored_bytes > most:
        raise _never(f"{_mib(most)} of files", "job's files", "fewer stems")
    query = select(func.sum(queue.c.stored_bytes), func.min(queue.c.expires_at)).where(
        queue.c.tenant == demand.tenant,
        queue.c.stored_bytes > 0,
        or_(queue.c.expires_at.is_(None), queue.c.expires_at > now),
    )
    found, expires_at = connection.execute(query).one()
    used = int(found or 0)
    if _has_room(used, demand.stored_bytes, most):
        return
    # The first job to expire makes room; jobs that have not ended don't expire.
    left = RETRY_AFTER_SECONDS
    if expires_at is not None:
        left = max(1, ceil((expires_at - now).total_seconds()))
    raise QuotaExceeded(
        f"The files of your jobs take {_mib(used)}, this job may add "
        f"{_mib(demand.stored_bytes)}, and your quota is {_mib(most)}. Delete jobs "
        f"that you don't need any more, or try again in {left} seconds.",
        left,
    )


def _seconds_since(connection: Connection, tenant: str, midnight: datetime) -> float:
    """Return the audio seconds of a tenant's jobs that were sent since `midnight`.

    Failed and cancelled jobs don't count.
    """
    unfinished = select(func.sum(queue.c.audio_seconds)).where(
        queue.c.tenant == tenant,
        queue.c.created_at >= midnight,
        queue.c.state.in_(_UNDER_WAY),
    )
    finished = usage.audio_seconds(tenant, midnight.date())
    # One statement: a job that ends between two would be in neither of them.
    both = select(finished, unfinished.scalar_subquery())
    return sum(each or 0.0 for each in connection.execute(both).one())


def _has_room(used: float, more: float, most: float) -> bool:
    # What is not known yet takes at least something.
    return used + more <= most if more else used < most


def _more(audio_seconds: float) -> str:
    return f"; this song has {audio_seconds / 60:.1f}" if audio_seconds else ""


def _never(quota: str, what: str, instead: str) -> AppError:
    return AudioTooLong(
        f"Your quota is {quota}, and this {what} would take more. Send {instead}."
    )


def _mib(number_bytes: int) -> str:
    return f"{number_bytes / 1024**2:.1f} MiB"
