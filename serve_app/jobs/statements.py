"""The SQL statements of the job store."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    CTE,
    BindParameter,
    ColumnElement,
    Connection,
    CursorResult,
    Select,
    Subquery,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal_column,
    not_,
    or_,
    select,
    text,
    union_all,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from serve_app.jobs.job import NONE_PASSED_BY, AnyJob, Claim, PassedBy, State
from serve_app.jobs.kind import AnyKind
from serve_app.jobs.table import lanes, queue, to_job, to_row
from serve_app.jobs.transitions import CLAIMED, Changes

# Longer than any song. Not infinity: JSON and some databases don't support it.
_ANY_LENGTH = 1e9

# Any number that nothing else in the same Postgres locks: "lane" in ASCII.
_CLAIM_LOCK = 0x6C616E65

# The order in which jobs are started.
_TURN = (queue.c.priority, queue.c.turn, queue.c.created_at, queue.c.id)
# How many jobs with equal results are considered: the newest one still has its files,
# unless it is just being deleted.
_MOST_SAME = 3
_FINAL = [state.value for state in State if state.is_final]
_UNDER_WAY = (State.QUEUED.value, State.RUNNING.value)
_NO_RESULT = (State.FAILED.value, State.CANCELLED.value)


# Cached statements take the kind and the values of its rules as parameters.
_OF_KIND = queue.c.kind == bindparam("of_kind")


def _is(state: State) -> ColumnElement[bool]:
    # A literal, not a parameter: with it Postgres keeps the plan of a claim, instead of
    # planning each one, which is a fifth of its time.
    return queue.c.state == literal_column(f"'{state.value}'")


# 1 for a job that can be claimed directly. The others need a decision first: they were
# cancelled, must run alone, were claimed too often, or their client has a limit.
_IS_CLEAR = case(
    (
        not_(queue.c.cancel_requested)
        & not_(queue.c.run_alone)
        & queue.c.at_once.is_(None)
        & (queue.c.attempt - queue.c.excused < bindparam("most_claims")),
        1,
    ),
    else_=0,
).label("is_clear")


# The condition that skips the jobs of a `PassedBy`.
_IS_FIT = and_(
    queue.c.client.not_in(bindparam("not_of", expanding=True)),
    or_(
        queue.c.song_seconds <= bindparam("short_seconds"),
        (queue.c.song_seconds <= bindparam("longest_seconds"))
        & queue.c.client.not_in(bindparam("no_long_of", expanding=True)),
    ),
)

_NOW: BindParameter[datetime] = bindparam("now", type_=queue.c.updated_at.type)


def _is_client_free() -> ColumnElement[bool]:
    """Return the condition that a job's client may start another one.

    Jobs with expired leases count as running, but not against themselves: so the one
    that started last can always start again.
    """
    other = queue.alias("of_client")
    # No parameters, so that Postgres keeps the plan.
    running = (
        select(func.count())
        .where(
            other.c.kind == queue.c.kind,
            other.c.client == queue.c.client,
            other.c.state == literal_column(f"'{State.RUNNING.value}'"),
            other.c.id != queue.c.id,
        )
        .correlate(queue)
        .scalar_subquery()
    )
    return or_(queue.c.at_once.is_(None), running < queue.c.at_once)


def _has_room_in_lane() -> ColumnElement[bool]:
    """Return the condition that a job has no lane, or that its lane may start a job."""
    other = queue.alias("other")
    running = (
        select(func.count())
        .where(
            other.c.kind == queue.c.kind,
            other.c.lane == queue.c.lane,
            other.c.state == State.RUNNING.value,
            other.c.lease_expires_at > _NOW,
        )
        .correlate(queue)
        .scalar_subquery()
    )
    paused = exists().where(
        lanes.c.kind == queue.c.kind,
        lanes.c.lane == queue.c.lane,
        lanes.c.paused_until > _NOW,
    )
    is_free = and_(not_(paused), running < bindparam("at_once_per_lane"))
    return or_(queue.c.lane.is_(None), is_free)


@dataclass(frozen=True)
class _Choice:
    """The conditions of a claim besides the turn; usually there are none."""

    passes_by: bool = False
    has_lanes: bool = False

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        fit = [_IS_FIT] if self.passes_by else []
        return [*fit, _has_room_in_lane()] if self.has_lanes else fit


def _heads(most: int, *more: ColumnElement[Any], choice: _Choice) -> Subquery:
    """Select and lock the first jobs in turn at the time `now`; skip locked ones.

    At most `most` of them are queued, and at most `most` have an expired lease.
    """
    is_time = or_(queue.c.available_at.is_(None), queue.c.available_at <= _NOW)
    is_fit = [_is_client_free(), *choice.conditions]
    # Two queries, each with its own index. One query with OR would sort all queued
    # jobs, or with the index by turn read all running ones.
    lapsed = (
        select(queue.c.id)
        .where(_OF_KIND, _is(State.RUNNING), queue.c.lease_expires_at <= _NOW)
        .cte("lapsed")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )

    def head(name: str, *conditions: ColumnElement[bool]) -> CTE:
        query = select(*_TURN, *more).where(*conditions, *is_fit).order_by(*_TURN)
        # A literal, not a parameter: the planner must know how small it is.
        query = query.limit(literal_column(str(most)))
        return query.with_for_update(skip_locked=True, of=queue).cte(name)

    found = [
        head(
            "waits", _OF_KIND, _is(State.QUEUED), queue.c.waits_for.is_(None), is_time
        ),
        head("expired", queue.c.id.in_(select(lapsed.c.id))),
    ]
    return union_all(*(select(each) for each in found)).subquery()


def _in_turn(found: Subquery) -> list[ColumnElement[Any]]:
    return [found.c[column.name] for column in _TURN]


def _clear_ids(most: int, choice: _Choice) -> Select[Any]:
    """Select the ids of the first jobs in turn, up to the first that is not clear."""
    found = _heads(most, _IS_CLEAR, choice=choice)
    so_far = func.min(found.c.is_clear).over(order_by=_in_turn(found))
    ranked = select(*found.c, so_far.label("all_clear")).subquery()
    query = select(ranked.c.id).where(ranked.c.all_clear == 1)
    return query.order_by(*_in_turn(ranked)).limit(literal_column(str(most)))


# Cached: building a statement takes longer than running it.
@cache
def _next_claimable(choice: _Choice) -> Select[Any]:
    head = _heads(1, choice=choice)
    first = select(head.c.id).order_by(*_in_turn(head)).limit(1).scalar_subquery()
    return select(queue).where(queue.c.id == first)


_CLAIM = (
    update(queue)
    .values(
        attempt=queue.c.attempt + 1,
        updated_at=bindparam("now"),
        **{name: bindparam(f"new_{name}") for name in CLAIMED},
    )
    .returning(queue)
)
_CLAIM_ONE = _CLAIM.where(queue.c.id == bindparam("job_id"))


@cache
def _claim_next(most: int, choice: _Choice) -> ReturningUpdate[Any]:
    return _CLAIM.where(queue.c.id.in_(_clear_ids(most, choice)))


def take_turns_at_claims(connection: Connection, kind: AnyKind) -> None:
    """Block other claims of this kind until this transaction has ended."""
    if connection.dialect.name == "postgresql":
        lock = text("SELECT pg_advisory_xact_lock(:key, hashtext(:kind))")
        connection.execute(lock, {"key": _CLAIM_LOCK, "kind": kind.name})


def add(connection: Connection, kind: AnyKind, job: AnyJob) -> None:
    """Insert `job`."""
    connection.execute(insert(queue).values(**to_row(kind, job)))


def find(connection: Connection, kind: AnyKind, job_id: str) -> AnyJob | None:
    """Return the job as it is now."""
    return _first(connection, kind, _all_of(kind).where(queue.c.id == job_id))


def find_all(
    connection: Connection, kind: AnyKind, job_ids: Iterable[str]
) -> list[AnyJob]:
    """Return the jobs with these ids; unknown ids are ignored."""
    return _all(connection, kind, _all_of(kind).where(queue.c.id.in_(list(job_ids))))


def find_of(
    connection: Connection, kind: AnyKind, tenant: str, job_id: str
) -> AnyJob | None:
    """Return a tenant's job; another tenant's row is not read, like an unknown one."""
    query = _all_of(kind).where(queue.c.id == job_id, queue.c.tenant == tenant)
    return _first(connection, kind, query)


def find_locked(connection: Connection, kind: AnyKind, job_id: str) -> AnyJob | None:
    """Return the job, locked against changes until this transaction ends."""
    query = _all_of(kind).where(queue.c.id == job_id).with_for_update()
    return _first(connection, kind, query)


def find_unique(connection: Connection, kind: AnyKind, unique_key: str) -> str | None:
    """Return the id of the job with a unique key that did not fail or get cancelled."""
    query = select(queue.c.id).where(
        queue.c.kind == kind.name,
        queue.c.unique_key == unique_key,
        queue.c.state.not_in(_NO_RESULT),
    )
    found: str | None = connection.execute(query).scalar()
    return found


def held(
    connection: Connection, kind: AnyKind, claims: Iterable[Claim]
) -> list[AnyJob]:
    """Return and lock the jobs that still run under one of `claims`."""
    mine = set(claims)
    ids = {claim.job_id for claim in mine}
    # All transactions lock in the same order, which prevents deadlocks.
    query = _all_of(kind).where(queue.c.id.in_(ids)).order_by(queue.c.id)
    found = _all(connection, kind, query.with_for_update())
    running = [job for job in found if job.state is State.RUNNING]
    return [job for job in running if job.claim in mine]


def last_turn(connection: Connection, kind: AnyKind, client: str) -> float:
    """Return the latest turn of a client's unfinished jobs, or 0 if it has none.

    Jobs that wait for another job don't count.
    """
    query = select(func.max(queue.c.turn)).where(
        queue.c.kind == kind.name,
        queue.c.client == client,
        queue.c.state.in_(_UNDER_WAY),
        queue.c.waits_for.is_(None),
    )
    return connection.execute(query).scalar() or 0.0


def running(connection: Connection, kind: AnyKind, now: datetime) -> int:
    """Return the number of running jobs with a valid lease."""
    query = select(func.count()).where(
        queue.c.kind == kind.name,
        _is(State.RUNNING),
        queue.c.lease_expires_at > now,
    )
    return int(connection.execute(query).scalar_one())


def pause(connection: Connection, kind: AnyKind, lane: str, until: datetime) -> None:
    """Start no job of a lane before `until`; a longer pause stays."""
    is_lane = (lanes.c.kind == kind.name) & (lanes.c.lane == lane)
    later = select(lanes.c.lane).where(is_lane, lanes.c.paused_until >= until)
    if connection.execute(later).first() is None:
        connection.execute(delete(lanes).where(is_lane))
        values = {"kind": kind.name, "lane": lane, "paused_until": until}
        connection.execute(insert(lanes).values(**values))


def next_claimable(
    connection: Connection, kind: AnyKind, now: datetime, passed_by: PassedBy
) -> AnyJob | None:
    """Return and lock the next job in turn: a queued one or one with an expired lease.

    The jobs of `passed_by` are skipped.
    """
    choice, given = _choice(kind, passed_by)
    query = _next_claimable(choice)
    return _to_first(kind, connection.execute(query, {"now": now, **given}))


def _choice(kind: AnyKind, passed_by: PassedBy) -> tuple[_Choice, dict[str, Any]]:
    """Return the conditions of a claim besides the turn, and all its parameters."""
    passing_by = _passing_by(kind, passed_by)
    given = {"of_kind": kind.name, **passing_by}
    at_once = kind.rules.at_once_per_lane
    if at_once is not None:
        given["at_once_per_lane"] = at_once
    return _Choice(bool(passing_by), at_once is not None), given


def _passing_by(kind: AnyKind, passed_by: PassedBy) -> dict[str, Any]:
    # Lists change the statement's text at each call, so the usual claim has none.
    if passed_by == NONE_PASSED_BY:
        return {}
    return {
        "short_seconds": kind.rules.short_seconds,
        "longest_seconds": 0.0 if passed_by.long_jobs else _ANY_LENGTH,
        "not_of": sorted(passed_by.clients),
        "no_long_of": sorted(passed_by.long_jobs_of),
    }


def claim_next(
    connection: Connection,
    kind: AnyKind,
    now: datetime,
    changes: Changes,
    *,
    most: int,
    most_claims: int,
    passed_by: PassedBy,
) -> list[AnyJob]:
    """Apply the changes of a claim to the next jobs in turn; return them in turn.

    They end before the first job that needs a decision: one that was cancelled, must
    run alone, whose client has a limit, or that was claimed `most_claims` times,
    excused attempts not counted.
    """
    choice, given = _choice(kind, passed_by)
    given |= {"now": now, "most_claims": most_claims, **_new(changes)}
    found = connection.execute(_claim_next(most, choice), given)
    claimed = [to_job(kind, row._asdict()) for row in found]
    return sorted(claimed, key=_turn)


def _turn(job: AnyJob) -> tuple[int, float, datetime, str]:
    return job.priority, job.turn, job.created_at, job.id


def claim(
    connection: Connection, kind: AnyKind, job_id: str, now: datetime, changes: Changes
) -> AnyJob:
    """Apply the changes of a claim to a job that this transaction has locked."""
    given = {"now": now, "job_id": job_id, **_new(changes)}
    return to_job(kind, connection.execute(_CLAIM_ONE, given).one()._asdict())


def _new(changes: Changes) -> Changes:
    return {f"new_{name}": value for name, value in changes.items()}


def change(
    connection: Connection,
    kind: AnyKind,
    job_id: str,
    now: datetime,
    changes: Mapping[str, Any],
) -> AnyJob:
    """Apply `changes` to a job that this transaction has locked; return the new job."""
    query = update(queue).where(queue.c.id == job_id)
    query = query.values(updated_at=now, **changes)
    return to_job(kind, connection.execute(query.returning(queue)).one()._asdict())


def resize(connection: Connection, job_id: str, stored_bytes: int) -> None:
    """Record the size of the files of a job that this transaction has locked."""
    query = update(queue).where(queue.c.id == job_id)
    connection.execute(query.values(stored_bytes=stored_bytes))


def extend(connection: Connection, job_ids: list[str], until: datetime) -> None:
    """Extend to `until` the leases of jobs that this transaction has locked."""
    query = update(queue).where(queue.c.id.in_(job_ids))
    connection.execute(query.values(lease_expires_at=until))


def listed(
    connection: Connection, kind: AnyKind, tenant: str, now: datetime, limit: int
) -> list[AnyJob]:
    """Return the newest jobs that a tenant may see, newest first."""
    query = _all_of(kind).where(
        queue.c.tenant == tenant,
        not_(queue.c.cancel_requested),
        or_(queue.c.expires_at.is_(None), queue.c.expires_at > now),
    )
    query = query.order_by(queue.c.created_at.desc(), queue.c.id.desc())
    return _all(connection, kind, query.limit(limit))


def failed(connection: Connection, kind: AnyKind, limit: int) -> list[AnyJob]:
    """Return the jobs that failed last, newest first."""
    query = _all_of(kind).where(_is(State.FAILED)).order_by(queue.c.updated_at.desc())
    return _all(connection, kind, query.limit(limit))


def has_at_least(
    connection: Connection, kind: AnyKind, state: State, number: int
) -> bool:
    """Return whether at least `number` jobs are in `state`; stop counting there."""
    some = select(queue.c.id).where(queue.c.kind == kind.name, _is(state))
    query = select(func.count()).select_from(some.limit(number).subquery())
    return connection.execute(query).scalar_one() >= number


def held_by(connection: Connection, kind: AnyKind, client: str) -> tuple[int, int]:
    """Return a client's number of queued jobs and the disk bytes of its unfinished."""
    is_queued = case((_is(State.QUEUED), 1), else_=0)
    query = select(func.sum(is_queued), func.sum(queue.c.disk_bytes)).where(
        queue.c.kind == kind.name,
        queue.c.client == client,
        queue.c.state.in_(_UNDER_WAY),
    )
    queued, disk_bytes = connection.execute(query).one()
    return int(queued or 0), int(disk_bytes or 0)


def disk_bytes(connection: Connection, kind: AnyKind) -> int:
    """Return the disk space that all unfinished jobs may take."""
    query = select(func.sum(queue.c.disk_bytes)).where(
        queue.c.kind == kind.name, queue.c.state.in_(_UNDER_WAY)
    )
    return int(connection.execute(query).scalar_one() or 0)


def counts(
    connection: Connection, kind: AnyKind, states: Iterable[State]
) -> dict[State, int]:
    """Return how many jobs are in each of these states."""
    found = dict.fromkeys(states, 0)
    query = select(queue.c.state, func.count()).where(
        queue.c.kind == kind.name, queue.c.state.in_([state.value for state in found])
    )
    for state, number in connection.execute(query.group_by(queue.c.state)):
        found[State(state)] = number
    return found


def expired(
    connection: Connection, kind: AnyKind, now: datetime, limit: int
) -> list[AnyJob]:
    """Return ended jobs that have expired, those that expired first at the start."""
    query = _all_of(kind).where(queue.c.expires_at <= now, queue.c.state.in_(_FINAL))
    query = query.order_by(queue.c.expires_at).limit(limit)
    return _all(connection, kind, query)


def with_same_input(
    connection: Connection, kind: AnyKind, same_input: str
) -> list[AnyJob]:
    """Return the newest jobs with an input that neither failed nor were cancelled."""
    return _newest(connection, kind, queue.c.file_key == same_input)


def with_same_work(
    connection: Connection, kind: AnyKind, same_work: str
) -> list[AnyJob]:
    """Return the newest jobs with this work that neither failed nor were cancelled."""
    return _newest(connection, kind, queue.c.audio_key == same_work)


def _newest(
    connection: Connection, kind: AnyKind, condition: ColumnElement[bool]
) -> list[AnyJob]:
    query = _all_of(kind).where(condition, queue.c.state.not_in(_NO_RESULT))
    query = query.order_by(queue.c.created_at.desc())
    return _all(connection, kind, query.limit(_MOST_SAME))


def find_same_work(connection: Connection, kind: AnyKind, job: AnyJob) -> str | None:
    """Lock an unfinished job that does the same work as `job`; return its id, or None.

    It has not been cancelled and does not wait for another job.
    """
    query = select(queue.c.id).where(
        queue.c.kind == kind.name,
        queue.c.audio_key == job.same_work,
        not_(queue.c.state.in_(_FINAL)),
        not_(queue.c.cancel_requested),
        queue.c.waits_for.is_(None),
    )
    query = query.order_by(*_TURN).limit(1)
    found = connection.execute(query.with_for_update()).first()
    return None if found is None else str(found.id)


def free_waiting(connection: Connection, job: AnyJob) -> None:
    """Free the jobs that wait for `job`, which has ended.

    If it succeeded, all of them can start: they reuse its result. Otherwise one can
    start, and the others wait for that one.
    """
    waiting = queue.c.waits_for == job.id
    heir = None
    if job.state is not State.SUCCEEDED:
        query = select(queue.c.id).where(waiting).order_by(*_TURN).limit(1)
        heir = connection.execute(query).scalar()
    others = update(queue).where(waiting)
    if heir is not None:
        connection.execute(others.where(queue.c.id == heir).values(waits_for=None))
    connection.execute(others.values(waits_for=heir))


def remove(connection: Connection, kind: AnyKind, job_id: str) -> None:
    """Delete a job if it has ended."""
    is_it = (queue.c.kind == kind.name) & (queue.c.id == job_id)
    connection.execute(delete(queue).where(is_it, queue.c.state.in_(_FINAL)))


def _all_of(kind: AnyKind) -> Select[Any]:
    return select(queue).where(queue.c.kind == kind.name)


def _all(connection: Connection, kind: AnyKind, query: Select[Any]) -> list[AnyJob]:
    return [to_job(kind, row._asdict()) for row in connection.execute(query)]


def _first(connection: Connection, kind: AnyKind, query: Select[Any]) -> AnyJob | None:
    return _to_first(kind, connection.execute(query))


def _to_first(kind: AnyKind, found: CursorResult[Any]) -> AnyJob | None:
    row = found.first()
    return None if row is None else to_job(kind, row._asdict())
