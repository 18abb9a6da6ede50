"""The loop that claims jobs, runs them on workers and records their results."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, aclosing, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from serve_app.errors import AppError, Cancelled, LeaseLost, Unavailable
from serve_app.jobs import log
from serve_app.jobs.attempt import AttemptEnd, RunningAttempt, retry_after
from serve_app.jobs.job import AnyJob, Claim, PassedBy, State
from serve_app.jobs.policy import DispatchPolicy
from serve_app.jobs.runner import Finished, Progress, Runner, Started
from serve_app.jobs.store import JobStore

__all__ = ["DispatchPolicy", "Dispatcher"]

logger = logging.getLogger(__name__)

# The limit on tries to record the end of a job once the dispatcher is stopping. Before
# that there is no limit: no other dispatcher can claim it without the database either.
_SETTLE_TRIES = 5
_UNEXPECTED = (
    "The job failed because of an error in the server. Send it again; if it fails "
    "again, report it with the job's id."
)

Ending = Callable[[], AnyJob]
Reuse = Callable[[AnyJob], Any | None]
Discard = Callable[[AnyJob], None]
OnStart = Callable[[AnyJob], AbstractContextManager[AnyJob]]
OnEnd = Callable[[AttemptEnd], None]


@dataclass(frozen=True)
class Hooks:
    """What a dispatcher calls.

    A job for which `reuse` returns a result is not run. `discard` deletes the stored
    files of a job that ended without a result. Both block. The tasks of an attempt
    are created within `on_start`, which returns the job as its worker gets it, and
    `on_end` gets the end of each attempt in one of them.
    """

    reuse: Reuse = lambda _: None
    discard: Discard = lambda _: None
    on_start: OnStart = nullcontext
    on_end: OnEnd = lambda _: None


_NO_HOOKS = Hooks()


class Dispatcher:
    """Claims jobs from `store` and runs them with `run`; each job ends exactly once.

    `owner` identifies this dispatcher in the database. It must be unique, also among
    earlier processes. A job that must run alone is the only one that this dispatcher
    runs at that time.
    """

    def __init__(
        self,
        store: JobStore[Any, Any],
        run: Runner,
        owner: str,
        policy: DispatchPolicy,
        hooks: Hooks = _NO_HOOKS,
    ) -> None:
        self._store = store
        self._hooks = hooks
        self._run = run
        self._owner = owner
        self._policy = policy
        self._running: dict[Claim, RunningAttempt] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._troubles: dict[str, str] = {}
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()
        self._stopped.set()

    @property
    def kind(self) -> str:
        """The name of the kind of jobs that this dispatcher runs."""
        return self._store.kind.name

    async def run_forever(self) -> None:
        """Run jobs until `shutdown` or cancellation, then release unfinished jobs."""
        self._stopped.clear()
        loops = [
            asyncio.create_task(self._keep_claiming()),
            asyncio.create_task(self._keep_renewing()),
        ]
        try:
            await asyncio.shield(asyncio.gather(*loops))
        finally:
            # The loops are never cancelled: no dispatcher would run a job that is
            # being claimed until its lease expires.
            self._ask_to_stop()
            await asyncio.wait(loops)
            await self._hand_back()
            self._stopped.set()

    async def shutdown(self) -> None:
        """Stop claiming, then stop and release the running jobs; wait for that."""
        self._ask_to_stop()
        await self._stopped.wait()

    def wake(self) -> None:
        """Look for new jobs now instead of at the next poll."""
        self._wake.set()

    def stop(self, job_id: str) -> None:
        """Stop a cancelled job now instead of at its next report or renewal."""
        for attempt in self._running.values():
            if attempt.job.id == job_id:
                attempt.stop()

    def status(self) -> dict[str, Any]:
        """Return the status for operators; `trouble` is the last error, or None."""
        return {
            "owner": self._owner,
            "running": len(self._running),
            "capacity": self._policy.in_flight,
            "stopping": self._stopping.is_set(),
            "trouble": next(iter(self._troubles.values()), None),
        }

    def _ask_to_stop(self) -> None:
        self._stopping.set()
        self._wake.set()

    async def _keep_claiming(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            fine = await self._survive("claim", self._claim_all())
            pause = self._policy.poll_seconds if fine else self._policy.backoff_seconds
            await _wait(self._wake, pause)

    async def _keep_renewing(self) -> None:
        usual = self._policy.renew_seconds
        while not self._stopping.is_set():
            fine = await self._survive("renew", self._renew_all())
            pause = usual if fine else min(usual, self._policy.backoff_seconds)
            await _wait(self._stopping, pause)

    async def _survive(self, name: str, step: Coroutine[Any, Any, None]) -> bool:
        """Run one `step` of a loop; log an error and return False if it failed."""
        try:
            await step
        except Exception as err:
            logger.warning("dispatcher step failed step=%s", name, exc_info=err)
            self._troubles[name] = str(err)
            return False
        self._troubles.pop(name, None)
        return True

    async def _claim_all(self) -> None:
        claim = partial(
            self._store.claim,
            self._owner,
            lease_seconds=self._policy.lease_seconds,
        )
        while self._room() and not self._stopping.is_set():
            passed_by, most = self._openings()
            jobs = await asyncio.to_thread(
                claim,
                include_alone=not self._running,
                most=most,
                passed_by=passed_by,
            )
            if not jobs:
                return
            for job in jobs:
                self._start(job)

    def _room(self) -> int:
        if any(attempt.job.run_alone for attempt in self._running.values()):
            return 0
        return self._policy.in_flight - len(self._running)

    def _openings(self) -> tuple[PassedBy, int]:
        """Return which jobs must not start now, and how many of the others may."""
        running = [attempt.job for attempt in self._running.values()]
        most = self._policy.share_limit
        of_client = Counter(job.client for job in running)
        long_of_client = Counter(
            job.client
            for job in running
            if job.cost_seconds > self._store.kind.rules.short_seconds
        )
        full, room = _full(of_client, most)
        long_full, long_room = _full(long_of_client, max(1, most - 1))
        long_room = min(long_room, most - long_of_client.total())
        if long_room <= 0:
            return PassedBy(full, long_jobs=True), min(room, self._room())
        passed_by = PassedBy(full, long_jobs_of=long_full)
        return passed_by, min(room, long_room, self._room())

    def _start(self, job: AnyJob) -> None:
        with self._hooks.on_start(job) as started:
            log.started(self._store.kind, started)
            attempt = RunningAttempt(self._store.kind, started, _now_seconds())
            attempt.work = asyncio.create_task(self._follow(attempt))
            self._running[attempt.claim] = attempt
            worker = asyncio.create_task(self._see_through(attempt, attempt.work))
        self._workers.add(worker)
        worker.add_done_callback(self._workers.discard)

    async def _renew_all(self) -> None:
        claims = list(self._running)
        if not claims:
            return
        seconds = self._policy.lease_seconds
        renewal = await asyncio.to_thread(self._store.renew, claims, seconds)
        for claim in renewal.lost | renewal.cancel_requested:
            if attempt := self._running.get(claim):
                attempt.stop()

    async def _hand_back(self) -> None:
        for attempt in self._running.values():
            attempt.stop()
        await asyncio.gather(*self._workers)

    async def _see_through(
        self, attempt: RunningAttempt, work: asyncio.Task[Any]
    ) -> None:
        """Wait for an attempt to end and record its outcome."""
        try:
            job = await self._settle(
                attempt.claim, await self._ending_of(attempt, work)
            )
            self._hooks.on_end(attempt.end(job))
            if job and job.state in (State.FAILED, State.CANCELLED):
                await self._survive("delete_files", self._delete_files(job))
        finally:
            del self._running[attempt.claim]
            self._wake.set()

    async def _follow(self, attempt: RunningAttempt) -> Any:
        if found := await asyncio.to_thread(self._hooks.reuse, attempt.job):
            attempt.is_reused = True
            return found
        async with aclosing(self._run(attempt.job)) as events:
            async for event in events:
                match event:
                    case Started(replica):
                        attempt.replica = replica
                    case Progress():
                        await self._report(attempt, event)
                    case Finished(result, beside_seconds, waited_seconds):
                        attempt.beside_seconds = beside_seconds
                        attempt.waited_seconds = waited_seconds
                        return result
        raise RuntimeError("the runner ended without a result")

    async def _report(self, attempt: RunningAttempt, progress: Progress) -> None:
        if not attempt.advance(progress, _now_seconds()):
            return
        claim, stage, fraction = attempt.claim, attempt.stage, attempt.fraction
        try:
            is_unwanted = await asyncio.to_thread(
                self._store.report, claim, stage, fraction
            )
        except Unavailable as err:
            logger.warning(
                "progress not recorded job=%s attempt=%d error=%s",
                *(claim.job_id, claim.attempt, log.quoted(str(err))),
            )
            return
        if is_unwanted:
            raise Cancelled("The job was cancelled by its client.")

    async def _ending_of(
        self, attempt: RunningAttempt, work: asyncio.Task[Any]
    ) -> Ending:
        claim = attempt.claim
        try:
            result = await work
        except (asyncio.CancelledError, Cancelled):
            # The store sets the state: cancelled if the client asked, otherwise queued.
            return partial(self._store.release, claim)
        except Exception as err:
            return self._ending_after(err, attempt)
        now_seconds = _now_seconds()
        total_seconds = now_seconds - attempt.began_seconds
        attempt.finish(now_seconds)

        def succeed() -> AnyJob:
            job = self._store.succeed(claim, result)
            if job.state is State.SUCCEEDED:
                # The row of a job that has ended has no `started_at`.
                ended = job.evolve(started_at=attempt.job.started_at)
                log.succeeded(
                    self._store.kind, ended, total_seconds, attempt.steps_seconds
                )
            return job

        return succeed

    def _ending_after(self, err: Exception, attempt: RunningAttempt) -> Ending:
        claim = attempt.claim
        problem = err if isinstance(err, AppError) else AppError(_UNEXPECTED)
        if problem is not err:
            logger.error("attempt crashed job=%s", claim.job_id, exc_info=err)
        attempt.error_code = problem.code
        log.failed(self._store.kind, attempt.job, claim, problem.code, problem.detail)
        if problem is err and not problem.retryable:
            return partial(self._store.fail, claim, problem.code, problem.detail)
        retry = retry_after(problem, attempt, self._running.values(), self._policy)
        return partial(self._store.retry, claim, retry)

    async def _delete_files(self, job: AnyJob) -> None:
        await asyncio.to_thread(self._hooks.discard, job)

    async def _settle(self, claim: Claim, ending: Ending) -> AnyJob | None:
        """Record the end of a job; return the changed job, or None if that failed."""
        tries_left = _SETTLE_TRIES
        while tries_left:
            tries_left -= self._stopping.is_set()
            try:
                return await asyncio.to_thread(ending)
            except LeaseLost:
                logger.warning(
                    "lease lost job=%s attempt=%d", claim.job_id, claim.attempt
                )
                return None
            except Unavailable as err:
                logger.warning(
                    "job end not recorded yet job=%s attempt=%d error=%s",
                    *(claim.job_id, claim.attempt, log.quoted(str(err))),
                )
            except Exception:
                logger.exception(
                    "job end not recorded job=%s attempt=%d",
                    *(claim.job_id, claim.attempt),
                )
                return None
            await asyncio.sleep(self._policy.backoff_seconds)
        return None


def _full(running: Counter[str], most: int) -> tuple[frozenset[str], int]:
    """Return the clients with `most` jobs, and how many any other may still start."""
    full = frozenset(client for client, jobs in running.items() if jobs >= most)
    return full, min([most - jobs for jobs in running.values() if jobs < most] + [most])


def _now_seconds() -> float:
    return asyncio.get_running_loop().time()


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
