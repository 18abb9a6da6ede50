"""A running attempt at a job, and the retry after it fails."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Any

from serve_app.errors import (
    AppError,
    DatabaseUnavailable,
    StorageFull,
    StorageUnavailable,
    TryLater,
)
from serve_app.jobs.job import AnyJob, State
from serve_app.jobs.kind import AnyKind
from serve_app.jobs.policy import DispatchPolicy
from serve_app.jobs.runner import PoolAway, Progress, ReplicaDied
from serve_app.jobs.transitions import Retry

REPORT_SECONDS = 0.5
# These affect every job, so a job's attempts don't count.
_EXCUSES = (StorageUnavailable, DatabaseUnavailable, PoolAway)


class Outcome(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RETRIED = "retried"  # the job is queued again
    LOST = "lost"  # another dispatcher has the job, or its end was not recorded
    CANCELLED = "cancelled"


_OUTCOMES = {
    State.SUCCEEDED: Outcome.SUCCEEDED,
    State.FAILED: Outcome.FAILED,
    State.QUEUED: Outcome.RETRIED,
    State.CANCELLED: Outcome.CANCELLED,
}


@dataclass(frozen=True)
class AttemptEnd:
    """The end of an attempt at a job of `kind`; `reason` is its error code, or empty.

    The audio and the durations of its stages are those of a job that succeeded, unless
    it had the result of another.
    """

    kind: str
    outcome: Outcome
    reason: str = ""
    audio_seconds: float = 0.0
    steps_seconds: Mapping[str, float] = field(default_factory=dict)


class RunningAttempt:
    """A dispatcher's record of a running attempt."""

    def __init__(self, kind: AnyKind, job: AnyJob, began_seconds: float = 0.0) -> None:
        self.kind = kind
        self.job = job
        self.began_seconds = began_seconds
        self.beside_seconds: Mapping[str, float] = {}
        self.waited_seconds = 0.0
        self.claim = job.claim
        self.work: asyncio.Task[Any] | None = None
        self.replica: str | None = None
        self.had_company = False
        self.stage = kind.stages[0]
        self.fraction = 0.0
        self.error_code = ""
        self.is_reused = False
        self.steps_seconds: Mapping[str, float] = {}
        self._reported_at = float("-inf")
        self._stages_began: dict[str, float] = {}

    def advance(self, progress: Progress, now_seconds: float) -> bool:
        """Record `progress`, which never decreases; return whether to report it."""
        stage = max(self.stage, progress.stage, key=self.kind.stages.index)
        is_new = stage != self.stage
        self.stage = stage
        self.fraction = min(max(self.fraction, progress.fraction), 1.0)
        self._stages_began.setdefault(stage, now_seconds)
        if not is_new and now_seconds - self._reported_at < REPORT_SECONDS:
            return False
        self._reported_at = now_seconds
        return True

    def finish(self, now_seconds: float) -> None:
        """Record how long each stage took, now that the work is done."""
        marks = [*self._stages_began.items(), (None, now_seconds - self.waited_seconds)]
        steps = {
            stage: end - began
            for (stage, began), (_, end) in pairwise(marks)
            if stage is not None
        }
        self.steps_seconds = {**steps, **self.beside_seconds}

    def end(self, job: AnyJob | None) -> AttemptEnd:
        """Return the end of this attempt, after which the queue has `job`.

        It is None if the end could not be recorded.
        """
        outcome = Outcome.LOST if job is None else _OUTCOMES[job.state]
        if job is None or outcome is not Outcome.SUCCEEDED or self.is_reused:
            return AttemptEnd(self.kind.name, outcome, self.error_code)
        return AttemptEnd(
            self.kind.name, outcome, "", job.audio_seconds, self.steps_seconds
        )

    def stop(self) -> None:
        """Cancel the work, once: a second call would cancel its clean-up."""
        if self.work is not None and not self.work.cancelling():
            self.work.cancel()


def retry_after(
    err: AppError,
    attempt: RunningAttempt,
    running: Iterable[RunningAttempt],
    policy: DispatchPolicy,
) -> Retry:
    """Return how to try the job of `attempt` again after `err`.

    While the storage, the database or the pool is unavailable, attempts are excused and
    retried after `policy.backoff_seconds`. With a full disk they are excused too, with
    growing delays, and the job runs alone: several jobs at once may have filled it.
    When a replica dies that ran several of the `running`, each of them is run alone
    before an attempt counts as a failure. A job that had not started is not the cause.
    After the death of a replica the delay is at most `policy.backoff_seconds`.
    """
    if isinstance(err, _EXCUSES):
        is_full = isinstance(err, StorageFull)
        return Retry(
            err.code,
            err.detail,
            is_failure=False,
            excused=True,
            run_alone=attempt.job.run_alone or is_full,
            delay_seconds=(
                policy.full_disk_delay_seconds(attempt.job.excused)
                if is_full
                else policy.backoff_seconds
            ),
        )
    if isinstance(err, TryLater):
        return Retry(
            err.code,
            err.detail,
            is_failure=False,
            excused=True,
            run_alone=attempt.job.run_alone,
            delay_seconds=err.delay_seconds,
        )
    died = isinstance(err, ReplicaDied)
    counts = not died or attempt.kind.rules.deaths_are_failures
    started = attempt.replica is not None
    shared = died and started and _had_company(attempt, running)
    # What was excused is no reason to wait longer.
    delay_seconds = attempt.kind.rules.delay_seconds(attempt.job.failures + 1)
    if died:
        # The kind's delays are for what a job needs to get better by itself.
        delay_seconds = min(delay_seconds, policy.backoff_seconds)
    return Retry(
        err.code,
        err.detail,
        is_failure=counts and (not died or (started and not shared)),
        run_alone=attempt.job.run_alone or (died and started),
        delay_seconds=0.0 if shared else delay_seconds,
    )


def _had_company(attempt: RunningAttempt, running: Iterable[RunningAttempt]) -> bool:
    """Return whether other jobs ran on the replica that died during `attempt`."""
    on_it = [other for other in running if other.replica == attempt.replica]
    if len(on_it) > 1:
        # Mark the others now: this attempt may have ended when theirs fail.
        for other in on_it:
            other.had_company = True
    return attempt.had_company
