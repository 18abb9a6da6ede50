"""The jobs of a kind in a database, which is the truth about them."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

from sqlalchemy import Connection, exc

from serve_app.database import Database
from serve_app.database.turns import take_turns
from serve_app.errors import JobExists, JobNotFound, LeaseLost, QueueFull
from serve_app.jobs import log, statements, transitions
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
from serve_app.jobs.transitions import MAX_CLAIMS, Changes, Retry
from serve_app.webhooks.message import Message

RETRY_AFTER_SECONDS = 15

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Receipt(Protocol[T_co]):
    """What shows that a request was taken: kept together with the job it made."""

    def keep(self, connection: Connection, now: datetime) -> T_co | None:
        """Keep it, unless the same request has one: then return that."""


@dataclass(frozen=True)
class Renewal:
    """What a dispatcher learns when it renews: which of its claims it must give up."""

    lost: frozenset[Claim]
    cancel_requested: frozenset[Claim]


class JobStore(Generic[Q, R]):
    """The jobs of one kind in a database; those of other kinds are not seen.

    Methods block, are safe in any thread and process, and raise Unavailable when the
    database doesn't answer. What one wrote survives a crash once it has returned. Those
    that take a claim raise LeaseLost when the job has another (owner, attempt) by now.
    `clock` returns the time, aware of its zone; the clocks of dispatchers that share a
    database must agree to a fraction of a lease. `post` puts the messages that a kind
    has for the end of a job into the outbox, within the transaction that ends it. Each
    end leaves a line in the log, but that of a job that succeeds: whoever ran it knows
    more about that.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], datetime],
        kind: Kind[Q, R],
        post: Callable[[Connection, Sequence[Message]], None] = lambda *_: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._post = post
        self.kind = kind

    def add(self, job: Job[Q, R], receipt: Receipt[T] | None = None) -> T | None:
        """Accept a `job`, queued or ended.

        Raises QueueFull when as many wait as the rules allow, of all clients or of its
        client, and JobExists when there is one with its unique key. It waits for
        another one that does the same work. With a `receipt` that was kept before
        nothing is added, and what was kept then is returned.
        """
        with self._database.writing() as connection:
            take_turns(connection)
            if receipt is not None:
                before = receipt.keep(connection, self._clock())
                if before is not None:
                    return before
            if not job.state.is_final:
                job = self._placed(connection, job)
            self._check_unique(connection, job)
            try:
                statements.add(connection, self.kind, job)
            except exc.IntegrityError as err:
                raise ValueError(f"there is a job {job.id} already") from err
            if job.state.is_final:
                self._tell(connection, job)
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
            waits_for = statements.at_work_on(connection, self.kind, job)
            job = job.evolve(waits_for=waits_for)
        if job.client:
            job = job.evolve(turn=self._turn(connection, job))
        return job

    def _check_unique(self, connection: Connection, job: Job[Q, R]) -> None:
        if job.unique_key is None:
            return
        key = job.unique_key
        if found := statements.find_unique(connection, self.kind, key):
            raise JobExists(f"Job {found} is about the same already.", found)

    def with_same_input(self, same_input: str) -> list[Job[Q, R]]:
        """Return jobs with the same input, newest first, but a few.

        Those that failed or were cancelled are left out.
        """
        with self._database.reading() as connection:
            return statements.with_same_input(connection, self.kind, same_input)

    def with_same_work(self, same_work: str) -> list[Job[Q, R]]:
        """Return jobs that do the same work, as `with_same_input` does."""
        with self._database.reading() as connection:
            return statements.with_same_work(connection, self.kind, same_work)

    def get(self, job_id: str) -> Job[Q, R]:
        """Return a job; JobNotFound when it is unknown or expired."""
        with self._database.reading() as connection:
            return _known(statements.find(connection, self.kind, job_id))

    def find(self, job_ids: Collection[str]) -> Mapping[str, Job[Q, R]]:
        """Return, by id, those of some jobs that there are."""
        with self._database.reading() as connection:
            found = statements.find_all(connection, self.kind, job_ids)
        return {job.id: job for job in found}

    def listed(self, tenant: str, limit: int) -> list[Job[Q, R]]:
        """Return at most `limit` of a tenant's jobs, newest first.

        Those that were deleted or have expired are left out.
        """
        with self._database.reading() as connection:
            return statements.listed(
                connection, self.kind, tenant, self._clock(), limit
            )

    def check_room(self, client: str) -> None:
        """Raise QueueFull when as many jobs wait as the rules allow.

        Of all clients, or of this one.
        """
        share = self.kind.rules.share
        with self._database.reading() as connection:
            self._check_room(connection)
            if share is not None:
                self._check_share(connection, share, client)

    def counts(self) -> Mapping[State, int]:
        """Return how many jobs are in each state."""
        with self._database.reading() as connection:
            return statements.counts(connection, self.kind)

    def disk_bytes(self, client: str | None = None) -> int:
        """Return the most disk that jobs under way may take, of all or of a client."""
        with self._database.reading() as connection:
            if client is None:
                return statements.disk_bytes(connection, self.kind)
            return statements.held_by(connection, self.kind, client)[1]

    def skew_seconds(self) -> float:
        """Return by how much this machine's clock is ahead of the database's."""
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
        """Give `owner` at most so many jobs that wait or whose lease has run out.

        Of those with the highest priority they are the first in turn (see `Job.turn`),
        the next one first, but for those that are `passed_by`, and those of a lane that
        is paused or full. No more run in the whole cluster than the rules allow.

        A job that must run alone is given out only with `include_alone`, which is for a
        caller that runs nothing else. Until then nothing behind it overtakes it: its
        turn comes as soon as one caller has finished what it runs. A lapsed lease is
        not charged, but after ten claims without excuse a job is failed.
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
        """Claim as many as may run beside those that do, counting while nobody else."""
        rules, claimed = self.kind.rules, list[Job[Q, R]]()
        with self._database.writing() as connection:
            statements.take_turns_at_claims(connection, self.kind)
            room = self._room(connection, now, most)
            # One by one where each may fill its lane.
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
        """Decide what is to become of the jobs in front; claim the one after them."""
        claimed: list[Job[Q, R]] = []
        expires_at = transitions.expiry(self.kind.rules, now)
        ended = []
        with self._database.writing() as connection:
            if self.kind.rules.claims_take_turns:
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
        """Begin no job of a lane for so long, unless it is paused for longer.

        ValueError for a kind whose lanes are not bounded: claims don't look at them.
        """
        if self.kind.rules.at_once_per_lane is None:
            raise ValueError(f"the rules of {self.kind.name} know no lanes")
        until = self._clock() + timedelta(seconds=seconds)
        with self._database.writing() as connection:
            statements.take_turns_at_claims(connection, self.kind)
            statements.pause(connection, self.kind, lane, until)

    def renew(self, claims: Iterable[Claim], lease_seconds: float) -> Renewal:
        """Let the leases of all `claims` that still hold begin anew."""
        mine = frozenset(claims)
        with self._database.writing() as connection:
            jobs = statements.held(connection, self.kind, mine)
            until = self._clock() + timedelta(seconds=lease_seconds)
            statements.extend(connection, [job.id for job in jobs], until)
        unwanted = frozenset(job.claim for job in jobs if job.cancel_requested)
        return Renewal(mine - {job.claim for job in jobs}, unwanted)

    def report(self, claim: Claim, stage: str, progress: float) -> bool:
        """Record how far a job is, 0..1; return whether its client has cancelled it."""
        with self._database.writing() as connection:
            job = self._held(connection, claim)
            changes = {"stage": stage, "progress": progress}
            statements.change(connection, self.kind, job.id, self._clock(), changes)
            return job.cancel_requested

    def succeed(self, claim: Claim, result: R) -> Job[Q, R]:
        """Publish the `result` of a job, unless its client has cancelled it."""
        rules = self.kind.rules
        return self._end(
            claim,
            lambda _, now: transitions.succeeded(
                result, transitions.expiry(rules, now)
            ),
        )

    def fail(self, claim: Claim, error_code: str, error: str) -> Job[Q, R]:
        """End a job that can't be done; `error` tells its client what to do."""
        rules = self.kind.rules
        return self._end(
            claim,
            lambda _, now: transitions.failed(
                error_code, error, transitions.expiry(rules, now)
            ),
        )

    def retry(self, claim: Claim, retry: Retry) -> Job[Q, R]:
        """Queue a job again, or fail it when it has had its attempts."""
        rules = self.kind.rules
        return self._end(
            claim, lambda job, now: transitions.retried(job, retry, rules, now)
        )

    def release(self, claim: Claim) -> Job[Q, R]:
        """Hand a job back, uncharged; cancelled when its client has asked for that."""
        return self._end(claim, lambda _, now: transitions.queued(now))

    def cancel(self, job_id: str) -> Job[Q, R]:
        """Cancel a job; JobNotFound when it is unknown or expired.

        One that runs is marked: its owner stops it, and from now on it can only end as
        cancelled. One that has ended stays as it is.
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
        """Return at most `limit` jobs whose time is up."""
        with self._database.reading() as connection:
            return statements.expired(connection, self.kind, self._clock(), limit)

    def remove(self, job_id: str) -> None:
        """Forget a job that has ended; any other is left alone."""
        with self._database.writing() as connection:
            statements.remove(connection, self.kind, job_id)

    def _end(
        self, claim: Claim, ending: Callable[[AnyJob, datetime], Changes]
    ) -> Job[Q, R]:
        """Take the job from the owner of `claim`; what was cancelled stays so.

        Returns the job as it is then.
        """
        with self._database.writing() as connection:
            job = self._held(connection, claim)
            now = self._clock()
            if job.cancel_requested:
                changes = transitions.cancelled(job.expires_at)
            else:
                changes = ending(job, now)
            job = self._change(connection, job.id, now, changes)
        if job.state is not State.SUCCEEDED:
            log.ended(self.kind, job)
        return job

    def _change(
        self, connection: Connection, job_id: str, now: datetime, changes: Changes
    ) -> Job[Q, R]:
        job: Job[Q, R] = statements.change(connection, self.kind, job_id, now, changes)
        if job.state.is_final:
            statements.let_go(connection, job)
            self._tell(connection, job)
        return job

    def _tell(self, connection: Connection, job: Job[Q, R]) -> None:
        if messages := self.kind.messages(job, self._clock()):
            self._post(connection, messages)

    def _held(self, connection: Connection, claim: Claim) -> Job[Q, R]:
        for job in statements.held(connection, self.kind, [claim]):
            return job
        raise LeaseLost(
            f"Attempt {claim.attempt} at job {claim.job_id} has lost its lease."
        )

    def _check_room(self, connection: Connection) -> None:
        most = self.kind.rules.max_queued
        if statements.has_as_many(connection, self.kind, State.QUEUED, most):
            raise QueueFull(
                f"{most} jobs are queued already, which is the limit: try again in "
                f"{RETRY_AFTER_SECONDS} seconds.",
                RETRY_AFTER_SECONDS,
            )

    def _check_share(
        self, connection: Connection, share: Share, client: str, more_bytes: int = 1
    ) -> None:
        queued, disk_bytes = statements.held_by(connection, self.kind, client)
        if queued >= share.queued_jobs:
            raise QueueFull(
                f"{queued} of your jobs are queued already, which is the limit for one "
                f"client: try again in {RETRY_AFTER_SECONDS} seconds.",
                RETRY_AFTER_SECONDS,
            )
        # One job alone is never too large for its client.
        if disk_bytes and disk_bytes + more_bytes > share.disk_bytes:
            raise QueueFull(
                f"Your unfinished jobs may take {_gb(disk_bytes)} of the "
                f"{_gb(share.disk_bytes)} of disk that one client may use, and this "
                f"job does not fit: try again in {RETRY_AFTER_SECONDS} seconds.",
                RETRY_AFTER_SECONDS,
            )

    def _turn(self, connection: Connection, job: Job[Q, R]) -> float:
        """Return when a new job has its turn: after what its client has queued already.

        By "virtual clock" (L. Zhang 1990), where each client may use a second of cost
        each second. Whoever hands in more waits behind others that come meanwhile, but
        never longer than what he has handed in costs.
        """
        last = statements.last_turn(connection, self.kind, job.client)
        return max(job.created_at.timestamp(), last) + job.cost_seconds


def _gb(number_bytes: int) -> str:
    return f"{number_bytes / 1e9:.1f} GB"


def _overdue_ending(job: AnyJob, expires_at: datetime | None) -> Changes | None:
    """How a job that could be claimed must end instead, if it must."""
    if job.cancel_requested:
        return transitions.cancelled(job.expires_at)
    if job.attempt - job.excused >= MAX_CLAIMS:
        return transitions.abandoned(job, expires_at)
    return None


def _is_live(job: AnyJob, now: datetime) -> bool:
    return job.lease_expires_at is not None and job.lease_expires_at > now


def _known(job: Job[Q, R] | None) -> Job[Q, R]:
    if job is None:
        raise JobNotFound("There is no such job: it may have expired; send it again.")
    return job
