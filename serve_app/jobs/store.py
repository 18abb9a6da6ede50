"""The store of jobs of one kind in the database."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

from sqlalchemy import Connection, exc

from serve_app.database import Database
from serve_app.database.turns import take_turns
from serve_app.errors import JobExists, JobNotFound, LeaseLost, QueueFull
from serve_app.jobs import codec, log, statements, transitions
from serve_app.jobs import quotas as job_quotas
from serve_app.jobs.job import (
    NONE_PASSED_BY,
    AnyJob,
    Claim,
    Job,
    PassedBy,
    Q,
    R,
    State,
)
from serve_app.jobs.kind import Kind, Share
from serve_app.jobs.quotas import Demand
from serve_app.jobs.transitions import MAX_CLAIMS, Changes, Retry
from serve_app.usage import table as usage
from serve_app.usage.quotas import NO_QUOTAS, Quotas
from serve_app.webhooks.message import Message

RETRY_AFTER_SECONDS = 15

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Receipt(Protocol[T_co]):
    """A record of an accepted request, stored in the transaction that adds its job."""

    def keep(self, connection: Connection, now: datetime) -> T_co | None:
        """Store the receipt, or return the one that the same request has already."""


@dataclass(frozen=True)
class Renewal:
    """The result of a renewal: the claims that a dispatcher must stop working on."""

    lost: frozenset[Claim]
    cancel_requested: frozenset[Claim]


# Changes a system's own rows when a job has ended.
Settle = Callable[[Connection, Job[Q, R]], None]


class JobStore(Generic[Q, R]):
    """The jobs of one kind in a database; jobs of other kinds are invisible.

    Methods block, are safe in any thread and process, and raise Unavailable if the
    database is unreachable. Their writes are durable once they return. Methods that
    take a claim raise LeaseLost if the job has another (owner, attempt) by then.
    `clock` returns the time with its zone; the clocks of dispatchers that share a
    database must agree to a fraction of a lease. `post` adds the messages of a job's
    end to the outbox, in the transaction that ends the job, and `settle` changes the
    system's own rows in it. Each end is logged here, except a success, which the
    dispatcher logs with its timings.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], datetime],
        kind: Kind[Q, R],
        post: Callable[[Connection, Sequence[Message]], None] = lambda *_: None,
        settle: Settle[Q, R] = lambda *_: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._post = post
        self._settle = settle
        self.kind = kind
        codec.prepare(kind.request, kind.result)

    def add(
        self,
        job: Job[Q, R],
        receipt: Receipt[T] | None = None,
        quotas: Quotas = NO_QUOTAS,
    ) -> T | None:
        """Add a `job`, queued or ended.

        Raises QueueFull if the queue or its client has reached a limit of the rules,
        QuotaExceeded or AudioTooLong if `quotas` leave no room for it, and JobExists if
        there is a job with its unique key. The job waits for an unfinished one that
        does the same work. If its `receipt` was stored before, nothing is added, and
        the stored one is returned.
        """
        with self._database.writing() as connection:
            take_turns(connection)
            if receipt is not None:
                before = receipt.keep(connection, self._clock())
                if before is not None:
                    return before
            demand = job_quotas.demand_of(self.kind.name, job)
            job_quotas.check(connection, quotas, demand, self._clock())
            job = job.evolve(at_once=quotas.jobs_at_once)
            if not job.state.is_final:
                job = self._placed(connection, job)
            self._check_unique(connection, job)
            try:
                statements.add(connection, self.kind, job)
            except exc.IntegrityError as err:
                raise ValueError(f"job {job.id} exists already") from err
            if job.state.is_final:
                self._conclude(connection, job)
        log.accepted(self.kind, job)
        if job.result is not None:
            log.reused(self.kind, job)
        return None

    def _placed(self, connection: Connection, job: Job[Q, R]) -> Job[Q, R]:
        """Return a new job with its place in the queue."""
        rules = self.kind.rules
        self._check_room(connection)
        if rules.share is not None:
            self._check_share(connection, rules.share, job.client, job.disk_bytes)
        if job.same_work is not None:
            waits_for = statements.find_same_work(connection, self.kind, job)
            job = job.evolve(waits_for=waits_for)
        if job.client:
            job = job.evolve(turn=self._turn(connection, job))
        return job

    def _check_unique(self, connection: Connection, job: Job[Q, R]) -> None:
        if job.unique_key is None:
            return
        key = job.unique_key
        if found := statements.find_unique(connection, self.kind, key):
            raise JobExists(f"Job {found} has the same unique key.", found)

    def with_same_input(self, same_input: str) -> list[Job[Q, R]]:
        """Return the newest few jobs with the same input, newest first.

        Failed and cancelled jobs are left out.
        """
        with self._database.reading() as connection:
            return statements.with_same_input(connection, self.kind, same_input)

    def with_same_work(self, same_work: str) -> list[Job[Q, R]]:
        """Return the newest few jobs that do the same work, as `with_same_input`."""
        with self._database.reading() as connection:
            return statements.with_same_work(connection, self.kind, same_work)

    def get(self, job_id: str) -> Job[Q, R]:
        """Return a job; raise JobNotFound if it is unknown or expired."""
        with self._database.reading() as connection:
            return _known(statements.find(connection, self.kind, job_id))

    def find(self, job_ids: Collection[str]) -> Mapping[str, Job[Q, R]]:
        """Return the jobs with these ids, by id; unknown ids are left out."""
        with self._database.reading() as connection:
            found = statements.find_all(connection, self.kind, job_ids)
        return {job.id: job for job in found}

    def find_of(self, tenant: str, job_id: str) -> Job[Q, R] | None:
        """Return a tenant's job, or None if it is unknown or another tenant's.

        Both take the same time.
        """
        with self._database.reading() as connection:
            return statements.find_of(connection, self.kind, tenant, job_id)

    def listed(self, tenant: str, limit: int) -> list[Job[Q, R]]:
        """Return at most `limit` of a tenant's jobs, newest first.

        Deleted and expired jobs are left out.
        """
        with self._database.reading() as connection:
            return statements.listed(
                connection, self.kind, tenant, self._clock(), limit
            )

    def failed(self, limit: int) -> list[Job[Q, R]]:
        """Return at most `limit` jobs that failed, the latest first."""
        with self._database.reading() as connection:
            return statements.failed(connection, self.kind, limit)

    def check_room(
        self, client: str, tenant: str = "", quotas: Quotas = NO_QUOTAS
    ) -> None:
        """Raise QueueFull if the queue or `client` has reached a limit of the rules.

        Raises QuotaExceeded if one of the `quotas` is used up.
        """
        share = self.kind.rules.share
        demand = Demand(self.kind.name, client, tenant)
        with self._database.reading() as connection:
            self._check_room(connection)
            if share is not None:
                self._check_share(connection, share, client)
            job_quotas.check(connection, quotas, demand, self._clock())

    def counts(self, states: Iterable[State] = State) -> Mapping[State, int]:
        """Return how many jobs are in each of these states."""
        with self._database.reading() as connection:
            return statements.counts(connection, self.kind, states)

    def disk_bytes(self, client: str | None = None) -> int:
        """Return the disk bytes that unfinished jobs of all or one client may take."""
        with self._database.reading() as connection:
            if client is None:
                return statements.disk_bytes(connection, self.kind)
            return statements.held_by(connection, self.kind, client)[1]

    def skew_seconds(self) -> float:
        """Return how far this machine's clock is ahead of the database server's."""
        theirs = self._database.time()
        return 0.0 if theirs is None else (self._clock() - theirs).total_seconds()

    def claim(
        self,
        owner: str,
        *,
        lease_seconds: float,
        include_alone: bool,
        most: int = 1,
        passed_by: PassedBy = NONE_PASSED_BY,
    ) -> list[Job[Q, R]]:
        """Claim for `owner` at most `most` jobs: queued, or with an expired lease.

        They are the first by priority and turn (see `Job.turn`), in that order. The
        jobs of `passed_by`, of paused or full lanes and of clients that run as many as
        they may are skipped. The rules limit how many run in the whole cluster.

        A job that must run alone is claimed only with `include_alone`, for a caller
        that runs no other job. Until then it also blocks all jobs behind it, so that
        its turn comes as soon as a caller is idle. An expired lease does not count as a
        failure, but a job fails after MAX_CLAIMS claims that were not excused.
        """
        now = self._clock()
        until = now + timedelta(seconds=lease_seconds)
        changes = transitions.claimed(owner, now, until)
        if self.kind.rules.claims_take_turns:
            claimed = self._claim_bounded(now, changes, most, passed_by)
        else:
            with self._database.statement() as connection:
                claimed = self._claim_next(connection, now, changes, most, passed_by)
        if claimed:
            return claimed
        return self._claim_after_decisions(now, changes, include_alone, passed_by)

    def _claim_next(
        self,
        connection: Connection,
        now: datetime,
        changes: Changes,
        most: int,
        passed_by: PassedBy,
    ) -> list[Job[Q, R]]:
        return statements.claim_next(
            *(connection, self.kind, now, changes),
            most=most,
            most_claims=MAX_CLAIMS,
            passed_by=passed_by,
        )

    def _claim_bounded(
        self, now: datetime, changes: Changes, most: int, passed_by: PassedBy
    ) -> list[Job[Q, R]]:
        """Claim up to the limits of the rules, while other claims are blocked."""
        rules, claimed = self.kind.rules, list[Job[Q, R]]()
        with self._database.writing() as connection:
            statements.take_turns_at_claims(connection, self.kind)
            room = self._room(connection, now, most)
            # One at a time with lanes: each job may fill its lane.
            each = room if rules.at_once_per_lane is None else 1
            while len(claimed) < room:
                found = self._claim_next(connection, now, changes, each, passed_by)
                if not found:
                    break
                claimed += found
        return claimed

    def _room(self, connection: Connection, now: datetime, most: int) -> int:
        at_once = self.kind.rules.at_once
        if at_once is None:
            return most
        return min(most, at_once - statements.running(connection, self.kind, now))

    def _claim_after_decisions(
        self,
        now: datetime,
        changes: Changes,
        include_alone: bool,
        passed_by: PassedBy,
    ) -> list[Job[Q, R]]:
        """End the jobs in front that must end; claim the first one after them."""
        claimed: list[Job[Q, R]] = []
        expires_at = transitions.expiry(self.kind.rules, now)
        ended = []
        with self._database.writing() as connection:
            # Also for clients with a limit: it is exact, because others wait here.
            statements.take_turns_at_claims(connection, self.kind)
            has_room = self._room(connection, now, 1) > 0
            while job := statements.next_claimable(
                connection, self.kind, now, passed_by
            ):
                if ending := _overdue_ending(job, expires_at):
                    ended.append(self._change(connection, job.id, now, ending))
                    continue
                if has_room and (include_alone or not job.run_alone):
                    claimed = [
                        statements.claim(connection, self.kind, job.id, now, changes)
                    ]
                break
        for job in ended:
            log.ended(self.kind, job)
        return claimed

    def pause(self, lane: str, seconds: float) -> None:
        """Start no job of a lane for `seconds`; a longer pause stays.

        Raises ValueError for a kind without a limit per lane: its claims ignore lanes.
        """
        if self.kind.rules.at_once_per_lane is None:
            raise ValueError(f"the rules of {self.kind.name} have no at_once_per_lane")
        until = self._clock() + timedelta(seconds=seconds)
        with self._database.writing() as connection:
            statements.take_turns_at_claims(connection, self.kind)
            statements.pause(connection, self.kind, lane, until)

    def renew(self, claims: Iterable[Claim], lease_seconds: float) -> Renewal:
        """Extend the leases of all `claims` that are not lost."""
        mine = frozenset(claims)
        with self._database.writing() as connection:
            jobs = statements.held(connection, self.kind, mine)
            until = self._clock() + timedelta(seconds=lease_seconds)
            statements.extend(connection, [job.id for job in jobs], until)
        unwanted = frozenset(job.claim for job in jobs if job.cancel_requested)
        return Renewal(mine - {job.claim for job in jobs}, unwanted)

    def report(self, claim: Claim, stage: str, progress: float) -> bool:
        """Record a job's progress, 0..1; return whether its client cancelled it."""
        with self._database.writing() as connection:
            job = self._held(connection, claim)
            changes = {"stage": stage, "progress": progress}
            statements.change(connection, self.kind, job.id, self._clock(), changes)
            return job.cancel_requested

    def succeed(self, claim: Claim, result: R) -> Job[Q, R]:
        """Publish the `result` of a job, unless its client cancelled it."""
        rules = self.kind.rules
        return self._end(
            claim,
            lambda _, now: transitions.succeeded(
                result, transitions.expiry(rules, now)
            ),
            result,
        )

    def fail(self, claim: Claim, error_code: str, error: str) -> Job[Q, R]:
        """Fail a job permanently; `error` tells its client what to do."""
        rules = self.kind.rules
        return self._end(
            claim,
            lambda _, now: transitions.failed(
                error_code, error, transitions.expiry(rules, now)
            ),
        )

    def retry(self, claim: Claim, retry: Retry) -> Job[Q, R]:
        """Queue a job again, or fail it if it has no attempts left."""
        rules = self.kind.rules
        return self._end(
            claim, lambda job, now: transitions.retried(job, retry, rules, now)
        )

    def release(self, claim: Claim) -> Job[Q, R]:
        """Queue a job again without a failure, or end it if its client cancelled it."""
        return self._end(claim, lambda _, now: transitions.queued(now))

    def cancel(self, job_id: str) -> Job[Q, R]:
        """Cancel a job; raise JobNotFound if it is unknown or expired.

        A running job is marked: its owner stops it, and it can only end as cancelled.
        A job that has ended does not change.
        """
        with self._database.writing() as connection:
            job = _known(statements.find_locked(connection, self.kind, job_id))
            now = self._clock()
            expires_at = transitions.expiry(self.kind.rules, now)
            if job.state.is_final:
                return job
            if _is_live(job, now):
                changes: Changes = {"cancel_requested": True, "expires_at": expires_at}
            else:
                changes = transitions.cancelled(expires_at)
            job = self._change(connection, job_id, now, changes)
        if job.state.is_final:
            log.ended(self.kind, job)
        return job

    def due_for_expiry(self, limit: int) -> list[Job[Q, R]]:
        """Return at most `limit` expired jobs."""
        with self._database.reading() as connection:
            return statements.expired(connection, self.kind, self._clock(), limit)

    def remove(self, job_id: str) -> None:
        """Delete the row of a job if it has ended."""
        with self._database.writing() as connection:
            statements.remove(connection, self.kind, job_id)

    def _end(
        self,
        claim: Claim,
        ending: Callable[[AnyJob, datetime], Changes],
        result: R | None = None,
    ) -> Job[Q, R]:
        """End the attempt of `claim`; a job that was cancelled ends as cancelled.

        Returns the changed job. What it used is that of the `result`, some of which is
        not stored.
        """
        with self._database.writing() as connection:
            job = self._held(connection, claim)
            now = self._clock()
            if job.cancel_requested:
                changes = transitions.cancelled(job.expires_at)
            else:
                changes = ending(job, now)
            job = self._change(connection, job.id, now, changes, result)
        if job.state is not State.SUCCEEDED:
            log.ended(self.kind, job)
        return job

    def _change(
        self,
        connection: Connection,
        job_id: str,
        now: datetime,
        changes: Changes,
        result: R | None = None,
    ) -> Job[Q, R]:
        job: Job[Q, R] = statements.change(connection, self.kind, job_id, now, changes)
        if job.state is State.SUCCEEDED and result is not None:
            job = job.evolve(result=result)
        if job.state.is_final:
            statements.free_waiting(connection, job)
            job = self._conclude(connection, job)
        return job

    def _conclude(self, connection: Connection, job: Job[Q, R]) -> Job[Q, R]:
        """Record what a job used that has ended, post its messages, and return it."""
        stored_bytes = self.kind.stored_bytes(job)
        if stored_bytes != job.stored_bytes:
            statements.resize(connection, job.id, stored_bytes)
            job = job.evolve(stored_bytes=stored_bytes)
        used = self.kind.usage(job) if job.state is State.SUCCEEDED else None
        if used is not None:
            usage.add(connection, job.tenant, usage.day_of(job.created_at), used)
        if messages := self.kind.messages(job, self._clock()):
            traceparent = job.traceparent
            traced = [replace(each, traceparent=traceparent) for each in messages]
            self._post(connection, traced)
        self._settle(connection, job)
        return job

    def _held(self, connection: Connection, claim: Claim) -> Job[Q, R]:
        for job in statements.held(connection, self.kind, [claim]):
            return job
        raise LeaseLost(
            f"Attempt {claim.attempt} at job {claim.job_id} has lost its lease."
        )

    def _check_room(self, connection: Connection) -> None:
        most = self.kind.rules.max_queued
        if statements.has_at_least(connection, self.kind, State.QUEUED, most):
            raise QueueFull(
                f"The queue is full: {most} jobs are queued. Try again in "
                f"{RETRY_AFTER_SECONDS} seconds.",
                RETRY_AFTER_SECONDS,
            )

    def _check_share(
        self, connection: Connection, share: Share, client: str, more_bytes: int = 1
    ) -> None:
        queued, disk_bytes = statements.held_by(connection, self.kind, client)
        if queued >= share.queued_jobs:
            raise QueueFull(
                f"{queued} of your jobs are queued, which is the limit per client. Try "
                f"again in {RETRY_AFTER_SECONDS} seconds.",
                RETRY_AFTER_SECONDS,
            )
        # A client without other jobs may add one of any size.
        if disk_bytes and disk_bytes + more_bytes > share.disk_bytes:
            raise QueueFull(
                f"Your unfinished jobs reserve {_gib(disk_bytes)} of disk space, and "
                f"this job would exceed the limit of {_gib(share.disk_bytes)} per "
                f"client. Try again in {RETRY_AFTER_SECONDS} seconds.",
                RETRY_AFTER_SECONDS,
            )

    def _turn(self, connection: Connection, job: Job[Q, R]) -> float:
        """Return the turn of a new job: after its client's unfinished jobs.

        By "virtual clock" (L. Zhang 1990), with a rate of one second of cost per second
        for each client. A client that adds more than that waits behind later jobs of
        others, but no longer than its own unfinished jobs cost.
        """
        last = statements.last_turn(connection, self.kind, job.client)
        return max(job.created_at.timestamp(), last) + job.cost_seconds


def _gib(number_bytes: int) -> str:
    return f"{number_bytes / 1024**3:.1f} GiB"


def _overdue_ending(job: AnyJob, expires_at: datetime | None) -> Changes | None:
    """Return the changes that end a claimable job which must not run, or None."""
    if job.cancel_requested:
        return transitions.cancelled(job.expires_at)
    if job.attempt - job.excused >= MAX_CLAIMS:
        return transitions.abandoned(job, expires_at)
    return None


def _is_live(job: AnyJob, now: datetime) -> bool:
    return job.lease_expires_at is not None and job.lease_expires_at > now


def _known(job: Job[Q, R] | None) -> Job[Q, R]:
    if job is None:
        raise JobNotFound
    return job
