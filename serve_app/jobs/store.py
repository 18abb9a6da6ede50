"""The jobs in a database, which is the truth about them."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, exc

from serve_app.database import Database
from serve_app.errors import JobNotFound, LeaseLost, QueueFull
from serve_app.jobs import answers, log, statements, transitions
from serve_app.jobs.answer import Answer
from serve_app.jobs.footprint import Share
from serve_app.jobs.job import (
    NONE_PASSED_BY,
    Claim,
    Job,
    PassedBy,
    Result,
    Stage,
    State,
)
from serve_app.jobs.transitions import MAX_CLAIMS, Changes, Limits, Retry

RETRY_AFTER_SECONDS = 15


@dataclass(frozen=True)
class Renewal:
    """What a dispatcher learns when it renews: which of its claims it must give up."""

    lost: frozenset[Claim]
    cancel_requested: frozenset[Claim]


class JobStore:
    """The jobs in a database.

    Methods block, are safe in any thread and process, and raise Unavailable when the
    database doesn't answer. What one wrote survives a crash once it has returned. Those
    that take a claim raise LeaseLost when the job has another (owner, attempt) by now.
    `clock` returns the time, aware of its zone; the clocks of dispatchers that share a
    database must agree to a fraction of a lease. `on_end` is called with each job that
    has ended, within the transaction that ends it. Each end leaves a line in the log,
    but that of a job that succeeds: whoever ran it knows more about that.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], datetime],
        on_end: Callable[[Connection, Job], None] = lambda *_: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._on_end = on_end

    def add(
        self,
        job: Job,
        *,
        max_queued: int,
        share: Share | None = None,
        answer: Answer | None = None,
    ) -> Answer | None:
        """Accept a `job`, queued or ended; QueueFull when `max_queued` wait already.

        Also QueueFull when its client's jobs would take more than their `share`.
        It waits for another one that is at work on the same audio for the same tenant,
        with the same options. With an `answer`, which is kept together with the job,
        nothing is added when the same request was answered before: that answer is
        returned.
        """
        with self._database.writing() as connection:
            statements.take_turns(connection)
            if answer is not None:
                if before := answers.find(connection, answer.id, self._clock()):
                    return before
                answers.keep(connection, answer)
            if not job.state.is_final:
                _check_room(connection, max_queued)
                if share is not None:
                    _check_share(connection, share, job.client, job.disk_bytes)
                if job.audio_key is not None:
                    job = job.evolve(waits_for=statements.at_work_on(connection, job))
                if job.client:
                    job = job.evolve(turn=_turn(connection, job))
            try:
                statements.add(connection, job)
            except exc.IntegrityError as err:
                raise ValueError(f"there is a job {job.id} already") from err
            if job.state.is_final:
                self._on_end(connection, job)
        if job.result is not None:
            log.reused(job, job.result)
        return None

    def with_file(self, file_key: str) -> list[Job]:
        """Return jobs with the same file and options, newest first, but a few.

        Those that failed or were cancelled are left out.
        """
        with self._database.reading() as connection:
            return statements.with_file(connection, file_key)

    def with_audio(self, audio_key: str) -> list[Job]:
        """Return jobs with the same audio and options, as `with_file` does."""
        with self._database.reading() as connection:
            return statements.with_audio(connection, audio_key)

    def get(self, job_id: str) -> Job:
        """Return a job; JobNotFound when it is unknown or expired."""
        with self._database.reading() as connection:
            return _known(statements.find(connection, job_id))

    def find(self, job_ids: Collection[str]) -> Mapping[str, Job]:
        """Return, by id, those of some jobs that there are."""
        with self._database.reading() as connection:
            return {job.id: job for job in statements.find_all(connection, job_ids)}

    def listed(self, tenant: str, limit: int) -> list[Job]:
        """Return at most `limit` of a tenant's jobs, newest first.

        Those that were deleted or have expired are left out.
        """
        with self._database.reading() as connection:
            return statements.listed(connection, tenant, self._clock(), limit)

    def check_room(self, max_queued: int, share: Share, client: str) -> None:
        """Raise QueueFull when `max_queued` jobs wait already.

        Or when those of the client take all of its `share`.
        """
        with self._database.reading() as connection:
            _check_room(connection, max_queued)
            _check_share(connection, share, client)

    def counts(self) -> Mapping[State, int]:
        """Return how many jobs are in each state."""
        with self._database.reading() as connection:
            return statements.counts(connection)

    def disk_bytes(self, client: str | None = None) -> int:
        """Return the most disk that jobs under way may take, of all or of a client."""
        with self._database.reading() as connection:
            if client is None:
                return statements.disk_bytes(connection)
            return statements.held_by(connection, client)[1]

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
        retention_seconds: float,
        most: int = 1,
        passed_by: PassedBy = NONE_PASSED_BY,
    ) -> list[Job]:
        """Give `owner` at most so many jobs that wait or whose lease has run out.

        Of those with the highest priority they are the first in turn (see `Job.turn`),
        the next one first, but for those that are `passed_by`.

        A job that must run alone is given out only with `include_alone`, which is for a
        caller that runs nothing else. Until then nothing behind it overtakes it: its
        turn comes as soon as one caller has finished what it runs. A lapsed lease is
        not charged, but after ten claims without excuse a job is failed.
        """
        now = self._clock()
        changes = transitions.claimed(
            owner, now, now + timedelta(seconds=lease_seconds)
        )
        with self._database.statement() as connection:
            claimed = statements.claim_next(
                *(connection, now, changes),
                most=most,
                most_claims=MAX_CLAIMS,
                passed_by=passed_by,
            )
        if claimed:
            return claimed
        expires_at = now + timedelta(seconds=retention_seconds)
        ended = []
        with self._database.writing() as connection:
            while job := statements.next_claimable(connection, now, passed_by):
                if ending := _overdue_ending(job, expires_at):
                    ended.append(self._change(connection, job.id, now, ending))
                    continue
                if include_alone or not job.run_alone:
                    claimed = [statements.claim(connection, job.id, now, changes)]
                break
        for job in ended:
            log.ended(job)
        return claimed

    def renew(self, claims: Iterable[Claim], lease_seconds: float) -> Renewal:
        """Let the leases of all `claims` that still hold begin anew."""
        mine = frozenset(claims)
        with self._database.writing() as connection:
            jobs = statements.held(connection, mine)
            until = self._clock() + timedelta(seconds=lease_seconds)
            statements.extend(connection, [job.id for job in jobs], until)
        unwanted = frozenset(job.claim for job in jobs if job.cancel_requested)
        return Renewal(mine - {job.claim for job in jobs}, unwanted)

    def report(self, claim: Claim, stage: Stage, progress: float) -> bool:
        """Record how far a job is, 0..1; return whether its client has cancelled it."""
        with self._database.writing() as connection:
            job = _held(connection, claim)
            changes = {"stage": stage.value, "progress": progress}
            statements.change(connection, job.id, self._clock(), changes)
            return job.cancel_requested

    def succeed(self, claim: Claim, result: Result, retention_seconds: float) -> Job:
        """Publish the `result` of a job, unless its client has cancelled it."""
        kept = timedelta(seconds=retention_seconds)
        return self._end(
            claim, lambda _, now: transitions.succeeded(result, now + kept)
        )

    def fail(
        self, claim: Claim, error_code: str, error: str, retention_seconds: float
    ) -> Job:
        """End a job that can't be done; `error` tells its client what to do."""
        kept = timedelta(seconds=retention_seconds)
        return self._end(
            claim, lambda _, now: transitions.failed(error_code, error, now + kept)
        )

    def retry(self, claim: Claim, retry: Retry, limits: Limits) -> Job:
        """Queue a job again, or fail it when it has had its charged attempts."""
        return self._end(
            claim, lambda job, now: transitions.retried(job, retry, limits, now)
        )

    def release(self, claim: Claim) -> Job:
        """Hand a job back, uncharged; cancelled when its client has asked for that."""
        return self._end(claim, lambda _, now: transitions.queued(now))

    def cancel(self, job_id: str, retention_seconds: float) -> Job:
        """Cancel a job; JobNotFound when it is unknown or expired.

        One that runs is marked: its owner stops it, and from now on it can only end as
        cancelled. One that has ended stays as it is.
        """
        with self._database.writing() as connection:
            job = _known(statements.find_locked(connection, job_id))
            now = self._clock()
            expires_at = now + timedelta(seconds=retention_seconds)
            if job.state.is_final:
                return job
            if _is_live(job, now):
                changes: Changes = {"cancel_requested": True, "expires_at": expires_at}
            else:
                changes = transitions.cancelled(expires_at)
            job = self._change(connection, job_id, now, changes)
        if job.state.is_final:
            log.ended(job)
        return job

    def due_for_expiry(self, limit: int) -> list[Job]:
        """Return at most `limit` jobs whose time is up."""
        with self._database.reading() as connection:
            return statements.expired(connection, self._clock(), limit)

    def remove(self, job_id: str) -> None:
        """Forget a job that has ended; any other is left alone."""
        with self._database.writing() as connection:
            statements.remove(connection, job_id)

    def _end(self, claim: Claim, ending: Callable[[Job, datetime], Changes]) -> Job:
        """Take the job from the owner of `claim`; what was cancelled stays so.

        Returns the job as it is then.
        """
        with self._database.writing() as connection:
            job = _held(connection, claim)
            now = self._clock()
            if job.cancel_requested:
                changes = transitions.cancelled(job.expires_at)
            else:
                changes = ending(job, now)
            job = self._change(connection, job.id, now, changes)
        if job.state is not State.SUCCEEDED:
            log.ended(job)
        return job

    def _change(
        self, connection: Connection, job_id: str, now: datetime, changes: Changes
    ) -> Job:
        job = statements.change(connection, job_id, now, changes)
        if job.state.is_final:
            statements.let_go(connection, job)
            self._on_end(connection, job)
        return job


def _check_room(connection: Connection, max_queued: int) -> None:
    if statements.has_as_many(connection, State.QUEUED, max_queued):
        raise QueueFull(
            f"{max_queued} songs are waiting already: try again in "
            f"{RETRY_AFTER_SECONDS} seconds.",
            RETRY_AFTER_SECONDS,
        )


def _check_share(
    connection: Connection, share: Share, client: str, more_bytes: int = 1
) -> None:
    queued, disk_bytes = statements.held_by(connection, client)
    if queued >= share.queued_jobs:
        raise QueueFull(
            f"{queued} of your songs are waiting already, which is your share of the "
            f"queue: try again in {RETRY_AFTER_SECONDS} seconds.",
            RETRY_AFTER_SECONDS,
        )
    # One job alone is never too large for its client.
    if disk_bytes and disk_bytes + more_bytes > share.disk_bytes:
        raise QueueFull(
            f"Your songs under way may take {_gb(disk_bytes)} of the "
            f"{_gb(share.disk_bytes)} that a client gets of the server's disk, and "
            f"there is no room for this one: try again in {RETRY_AFTER_SECONDS} "
            "seconds.",
            RETRY_AFTER_SECONDS,
        )


def _gb(number_bytes: int) -> str:
    return f"{number_bytes / 1e9:.1f} GB"


def _turn(connection: Connection, job: Job) -> float:
    """Return when a new job has its turn: after what its client has under way already.

    By "virtual clock" (L. Zhang 1990), where each client may use a second of audio each
    second. Whoever hands in more waits behind others that come meanwhile, but never
    longer than what he has handed in lasts.
    """
    last = statements.last_turn(connection, job.client)
    return max(job.created_at.timestamp(), last) + job.source.duration_seconds


def _overdue_ending(job: Job, expires_at: datetime) -> Changes | None:
    """How a job that could be claimed must end instead, if it must."""
    if job.cancel_requested:
        return transitions.cancelled(job.expires_at)
    if job.attempt - job.excused >= MAX_CLAIMS:
        return transitions.abandoned(job, expires_at)
    return None


def _is_live(job: Job, now: datetime) -> bool:
    return job.lease_expires_at is not None and job.lease_expires_at > now


def _held(connection: Connection, claim: Claim) -> Job:
    for job in statements.held(connection, [claim]):
        return job
    raise LeaseLost(
        f"Attempt {claim.attempt} at job {claim.job_id} has lost its lease: stop it."
    )


def _known(job: Job | None) -> Job:
    if job is None:
        raise JobNotFound(
            "There is no such job: it may have expired; upload the song again."
        )
    return job
