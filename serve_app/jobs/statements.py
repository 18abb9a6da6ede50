"""What the store asks of the database, each in one statement."""

from collections.abc import Iterable, Mapping
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

from serve_app.jobs.job import (
    NONE_PASSED_BY,
    SHORT_SONG_SECONDS,
    Claim,
    Job,
    PassedBy,
    State,
)
from serve_app.jobs.schema import jobs, to_job, to_row
from serve_app.jobs.transitions import CLAIMED, Changes

# Longer than any song, and no infinity, which JSON and some databases do not know.
_ANY_LENGTH = 1e9

# Any number that nothing else in the same Postgres locks: "queue" in ASCII.
_ADVISORY_LOCK = 0x7175657565

# The order in which jobs are begun.
_TURN = (jobs.c.priority, jobs.c.turn, jobs.c.created_at, jobs.c.id)
# Of jobs that give the same, no more are looked at: the newest one has its files still,
# unless it ends just then.
_MOST_SAME = 3
_FINAL = [state.value for state in State if state.is_final]
_UNDER_WAY = (State.QUEUED.value, State.RUNNING.value)
_GAVE_UP = (State.FAILED.value, State.CANCELLED.value)


def _is(state: State) -> ColumnElement[bool]:
    return jobs.c.state == state.value


# Of a claim, these come beside the columns in the order of turns. One that is not clear
# needs a decision first: it was cancelled, must run alone, or was claimed too often.
_IS_CLEAR = case(
    (
        not_(jobs.c.cancel_requested)
        & not_(jobs.c.run_alone)
        & (jobs.c.attempt - jobs.c.excused < bindparam("most_claims")),
        1,
    ),
    else_=0,
).label("is_clear")


# Who may not begin just any job passes some by.
_IS_FIT = and_(
    jobs.c.client.not_in(bindparam("not_of", expanding=True)),
    or_(
        jobs.c.song_seconds <= SHORT_SONG_SECONDS,
        (jobs.c.song_seconds <= bindparam("longest_seconds"))
        & jobs.c.client.not_in(bindparam("no_long_of", expanding=True)),
    ),
)


def _heads(most: int, *more: ColumnElement[Any], passes_by: bool) -> Subquery:
    """The first jobs in turn at the time `now`, locked, that nobody else has locked.

    Some wait and some are of owners who fell silent: so many of each.
    """
    now: BindParameter[datetime] = bindparam("now", type_=jobs.c.updated_at.type)
    is_time = or_(jobs.c.available_at.is_(None), jobs.c.available_at <= now)
    is_fit = [_IS_FIT] if passes_by else []
    # The first of each by an index of its own: as one condition, with OR, all that
    # waits would be sorted, and with the turns' index all that runs would be read.
    lapsed = (
        select(jobs.c.id)
        .where(_is(State.RUNNING), jobs.c.lease_expires_at <= now)
        .cte("lapsed")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )

    def head(name: str, *conditions: ColumnElement[bool]) -> CTE:
        query = select(*_TURN, *more).where(*conditions, *is_fit).order_by(*_TURN)
        # A number in the text: the planner must know how few they are.
        query = query.limit(literal_column(str(most)))
        return query.with_for_update(skip_locked=True, of=jobs).cte(name)

    found = [
        head("waits", _is(State.QUEUED), jobs.c.waits_for.is_(None), is_time),
        head("silent", jobs.c.id.in_(select(lapsed.c.id))),
    ]
    return union_all(*(select(each) for each in found)).subquery()


def _in_turn(found: Subquery) -> list[ColumnElement[Any]]:
    return [found.c[column.name] for column in _TURN]


def _clear_ids(most: int, passes_by: bool) -> Select[Any]:
    """The ids of the first jobs in turn, up to the first one that is not clear."""
    found = _heads(most, _IS_CLEAR, passes_by=passes_by)
    so_far = func.min(found.c.is_clear).over(order_by=_in_turn(found))
    ranked = select(*found.c, so_far.label("all_clear")).subquery()
    query = select(ranked.c.id).where(ranked.c.all_clear == 1)
    return query.order_by(*_in_turn(ranked)).limit(literal_column(str(most)))


# Each is made once: making a statement takes longer than running it.
@cache
def _next_claimable(passes_by: bool) -> Select[Any]:
    head = _heads(1, passes_by=passes_by)
    first = select(head.c.id).order_by(*_in_turn(head)).limit(1).scalar_subquery()
    return select(jobs).where(jobs.c.id == first)


_CLAIM = (
    update(jobs)
    .values(
        attempt=jobs.c.attempt + 1,
        updated_at=bindparam("now"),
        **{name: bindparam(f"new_{name}") for name in CLAIMED},
    )
    .returning(jobs)
)
_CLAIM_ONE = _CLAIM.where(jobs.c.id == bindparam("job_id"))


@cache
def _claim_next(most: int, passes_by: bool) -> ReturningUpdate[Any]:
    return _CLAIM.where(jobs.c.id.in_(_clear_ids(most, passes_by)))


def take_turns(connection: Connection) -> None:
    """Keep other transactions that take turns waiting until this one has ended."""
    # On SQLite every transaction that writes is alone from its beginning.
    if connection.dialect.name == "postgresql":
        lock = text("SELECT pg_advisory_xact_lock(:key)")
        connection.execute(lock, {"key": _ADVISORY_LOCK})


def add(connection: Connection, job: Job) -> None:
    """Insert `job`."""
    connection.execute(insert(jobs).values(**to_row(job)))


def find(connection: Connection, job_id: str) -> Job | None:
    """Return the job as it is now."""
    return _first(connection, select(jobs).where(jobs.c.id == job_id))


def find_all(connection: Connection, job_ids: Iterable[str]) -> list[Job]:
    """Return those of some jobs that there are."""
    return _all(connection, select(jobs).where(jobs.c.id.in_(list(job_ids))))


def find_locked(connection: Connection, job_id: str) -> Job | None:
    """Return the job, which nobody else can change until this transaction ends."""
    query = select(jobs).where(jobs.c.id == job_id).with_for_update()
    return _first(connection, query)


def held(connection: Connection, claims: Iterable[Claim]) -> list[Job]:
    """Return, locked, those jobs that still run under one of `claims`."""
    mine = set(claims)
    ids = {claim.job_id for claim in mine}
    # One order for all, so that two transactions never wait for each other.
    query = select(jobs).where(jobs.c.id.in_(ids)).order_by(jobs.c.id)
    found = _all(connection, query.with_for_update())
    running = [job for job in found if job.state is State.RUNNING]
    return [job for job in running if job.claim in mine]


def last_turn(connection: Connection, client: str) -> float:
    """Return the last turn of a client's jobs that are to be computed, 0 if none."""
    query = select(func.max(jobs.c.turn)).where(
        jobs.c.client == client,
        jobs.c.state.in_(_UNDER_WAY),
        jobs.c.waits_for.is_(None),
    )
    return connection.execute(query).scalar() or 0.0


def next_claimable(
    connection: Connection, now: datetime, passed_by: PassedBy
) -> Job | None:
    """Return, locked, the job whose turn it is: one that waits or lost its owner.

    Those that are not to be begun now are passed by.
    """
    passing_by = _passing_by(passed_by)
    given = {"now": now, **passing_by}
    return _to_first(connection.execute(_next_claimable(bool(passing_by)), given))


def _passing_by(passed_by: PassedBy) -> dict[str, Any]:
    # Lists are written into the statement anew each time: not for the usual claim.
    if passed_by == NONE_PASSED_BY:
        return {}
    return {
        "longest_seconds": 0.0 if passed_by.long_songs else _ANY_LENGTH,
        "not_of": sorted(passed_by.clients),
        "no_long_of": sorted(passed_by.long_songs_of),
    }


def claim_next(
    connection: Connection,
    now: datetime,
    changes: Changes,
    *,
    most: int,
    most_claims: int,
    passed_by: PassedBy,
) -> list[Job]:
    """Write the changes of a claim to the jobs whose turn it is; return them in turn.

    They end before the first of which something else has to be decided: it was
    cancelled, must run alone, or was claimed `most_claims` times without excuse.
    """
    passing_by = _passing_by(passed_by)
    given = {
        **{"now": now, "most_claims": most_claims},
        **passing_by,
        **_new(changes),
    }
    found = connection.execute(_claim_next(most, bool(passing_by)), given)
    claimed = [to_job(row._asdict()) for row in found]
    return sorted(claimed, key=_turn)


def _turn(job: Job) -> tuple[int, float, datetime, str]:
    return job.options.priority.rank, job.turn, job.created_at, job.id


def claim(connection: Connection, job_id: str, now: datetime, changes: Changes) -> Job:
    """Write the changes of a claim to a job that this transaction has locked."""
    given = {"now": now, "job_id": job_id, **_new(changes)}
    return to_job(connection.execute(_CLAIM_ONE, given).one()._asdict())


def _new(changes: Changes) -> Changes:
    return {f"new_{name}": value for name, value in changes.items()}


def change(
    connection: Connection, job_id: str, now: datetime, changes: Mapping[str, Any]
) -> Job:
    """Write `changes` to the columns of a job that this transaction has locked.

    Returns the job as it is then.
    """
    query = update(jobs).where(jobs.c.id == job_id)
    query = query.values(updated_at=now, **changes)
    return to_job(connection.execute(query.returning(jobs)).one()._asdict())


def extend(connection: Connection, job_ids: list[str], until: datetime) -> None:
    """Let the leases of jobs that this transaction has locked end at `until`."""
    query = update(jobs).where(jobs.c.id.in_(job_ids))
    connection.execute(query.values(lease_expires_at=until))


def listed(connection: Connection, tenant: str, now: datetime, limit: int) -> list[Job]:
    """Return the youngest jobs that a tenant may see, youngest first."""
    query = select(jobs).where(
        jobs.c.tenant == tenant,
        not_(jobs.c.cancel_requested),
        or_(jobs.c.expires_at.is_(None), jobs.c.expires_at > now),
    )
    query = query.order_by(jobs.c.created_at.desc(), jobs.c.id.desc())
    return _all(connection, query.limit(limit))


def has_as_many(connection: Connection, state: State, number: int) -> bool:
    """Whether at least so many jobs are in `state`; no more of them are counted."""
    some = select(jobs.c.id).where(_is(state)).limit(number).subquery()
    query = select(func.count()).select_from(some)
    return connection.execute(query).scalar_one() >= number


def held_by(connection: Connection, client: str) -> tuple[int, int]:
    """Return how many jobs of a client wait, and what disk all its unfinished need."""
    is_queued = case((_is(State.QUEUED), 1), else_=0)
    query = select(func.sum(is_queued), func.sum(jobs.c.disk_bytes)).where(
        jobs.c.client == client, jobs.c.state.in_(_UNDER_WAY)
    )
    queued, disk_bytes = connection.execute(query).one()
    return int(queued or 0), int(disk_bytes or 0)


def disk_bytes(connection: Connection) -> int:
    """Return what disk all jobs that have not ended can take."""
    query = select(func.sum(jobs.c.disk_bytes)).where(jobs.c.state.in_(_UNDER_WAY))
    return int(connection.execute(query).scalar_one() or 0)


def counts(connection: Connection) -> dict[State, int]:
    """Return how many jobs are in each state."""
    query = select(jobs.c.state, func.count()).group_by(jobs.c.state)
    found = {State(state): number for state, number in connection.execute(query)}
    return {state: found.get(state, 0) for state in State}


def expired(connection: Connection, now: datetime, limit: int) -> list[Job]:
    """Return jobs that ended so long ago that they are to go, the oldest first."""
    query = select(jobs).where(jobs.c.expires_at <= now, jobs.c.state.in_(_FINAL))
    return _all(connection, query.order_by(jobs.c.expires_at).limit(limit))


def with_file(connection: Connection, file_key: str) -> list[Job]:
    """Return the newest jobs with the same file and options that were not given up."""
    return _newest(connection, jobs.c.file_key == file_key)


def with_audio(connection: Connection, audio_key: str) -> list[Job]:
    """Return the newest jobs with the same audio and options that were not given up."""
    return _newest(connection, jobs.c.audio_key == audio_key)


def _newest(connection: Connection, condition: ColumnElement[bool]) -> list[Job]:
    query = select(jobs).where(condition, jobs.c.state.not_in(_GAVE_UP))
    query = query.order_by(jobs.c.created_at.desc())
    return _all(connection, query.limit(_MOST_SAME))


def at_work_on(connection: Connection, job: Job) -> str | None:
    """Return the id of a job that will give the same as `job`, locked, if there is one.

    It has not ended, has not been cancelled, and waits for no other.
    """
    query = select(jobs.c.id).where(
        jobs.c.audio_key == job.audio_key,
        not_(jobs.c.state.in_(_FINAL)),
        not_(jobs.c.cancel_requested),
        jobs.c.waits_for.is_(None),
    )
    query = query.order_by(*_TURN).limit(1)
    found = connection.execute(query.with_for_update()).first()
    return None if found is None else str(found.id)


def let_go(connection: Connection, job: Job) -> None:
    """Let the jobs that wait for `job`, which has ended, be begun.

    All of them when it has succeeded: its stems are theirs. Else one, for which the
    others wait from now on.
    """
    waiting = jobs.c.waits_for == job.id
    heir = None
    if job.state is not State.SUCCEEDED:
        query = select(jobs.c.id).where(waiting).order_by(*_TURN).limit(1)
        heir = connection.execute(query).scalar()
    others = update(jobs).where(waiting)
    if heir is not None:
        connection.execute(others.where(jobs.c.id == heir).values(waits_for=None))
    connection.execute(others.values(waits_for=heir))


def remove(connection: Connection, job_id: str) -> None:
    """Delete a job that has ended."""
    query = delete(jobs).where(jobs.c.id == job_id, jobs.c.state.in_(_FINAL))
    connection.execute(query)


def _all(connection: Connection, query: Select[Any]) -> list[Job]:
    return [to_job(row._asdict()) for row in connection.execute(query)]


def _first(connection: Connection, query: Select[Any]) -> Job | None:
    return _to_first(connection.execute(query))


def _to_first(found: CursorResult[Any]) -> Job | None:
    row = found.first()
    return None if row is None else to_job(row._asdict())
