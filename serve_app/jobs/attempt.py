"""An attempt at a job: how far it is, and what follows when it goes wrong."""

import asyncio
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from serve_app.errors import (
    AppError,
    DatabaseUnavailable,
    StorageFull,
    StorageUnavailable,
)
from serve_app.jobs.job import AnyJob
from serve_app.jobs.kind import AnyKind
from serve_app.jobs.policy import DispatchPolicy
from serve_app.jobs.runner import PoolAway, Progress, ReplicaDied
from serve_app.jobs.transitions import Retry

REPORT_SECONDS = 0.5
# What is away is so for every job.
_EXCUSES = (StorageUnavailable, DatabaseUnavailable, PoolAway)


class Attempt:
    """What a dispatcher knows of an attempt under way."""

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
        self._reported_at = float("-inf")
        self._stages_began: dict[str, float] = {}

    def advance(self, progress: Progress, now_seconds: float) -> bool:
        """Take note of `progress`, never going back; return whether to report it."""
        stage = max(self.stage, progress.stage, key=self.kind.stages.index)
        is_new = stage != self.stage
        self.stage = stage
        self.fraction = min(max(self.fraction, progress.fraction), 1.0)
        self._stages_began.setdefault(stage, now_seconds)
        if not is_new and now_seconds - self._reported_at < REPORT_SECONDS:
            return False
        self._reported_at = now_seconds
        return True

    def steps_seconds(self, now_seconds: float) -> dict[str, float]:
        """Return how long each stage took, if the whole attempt ends now."""
        marks = [*self._stages_began.items(), (None, now_seconds - self.waited_seconds)]
        steps = {
            stage: end - began
            for (stage, began), (_, end) in pairwise(marks)
            if stage is not None
        }
        return {**steps, **self.beside_seconds}

    def stop(self) -> None:
        """Cancel the work, once: its cleaning up is not to be cancelled as well."""
        if self.work is not None and not self.work.cancelling():
            self.work.cancel()


def retry_after(
    err: AppError, attempt: Attempt, running: Iterable[Attempt], policy: DispatchPolicy
) -> Retry:
    """How the job of `attempt` is tried again; only its own doing is charged to it.

    When a store, the database or a pool is away it is excused, and tried again as soon
    as that may be back. When a disk is full it is excused, too, but each time longer,
    and alone: several jobs at once may be what has filled it.
    When a replica dies under several of the `running`, each of them is run alone before
    any is charged. One that had not started can't have been the reason.
    """
    if isinstance(err, _EXCUSES):
        is_full = isinstance(err, StorageFull)
        return Retry(
            err.code,
            err.detail,
            charge=False,
            excused=True,
            run_alone=attempt.job.run_alone or is_full,
            delay_seconds=(
                policy.full_disk_delay_seconds(attempt.job.excused)
                if is_full
                else policy.backoff_seconds
            ),
        )
    died = isinstance(err, ReplicaDied)
    started = attempt.replica is not None
    shared = died and started and _had_company(attempt, running)
    return Retry(
        err.code,
        err.detail,
        charge=not died or (started and not shared),
        run_alone=attempt.job.run_alone or (died and started),
        delay_seconds=0.0
        if shared
        else attempt.kind.rules.delay_seconds(attempt.job.attempt),
    )


def _had_company(attempt: Attempt, running: Iterable[Attempt]) -> bool:
    """Whether other jobs ran on the replica that has died under `attempt`."""
    on_it = [other for other in running if other.replica == attempt.replica]
    if len(on_it) > 1:
        # The others learn of their death later, when this one may be forgotten.
        for other in on_it:
            other.had_company = True
    return attempt.had_company
