"""A job ends exactly once, by its owner, with several workers at one queue.

Hypothesis generates sequences of claims, renewals, expiries, endings and cancellations,
also by workers that have lost their claims. A model in plain dictionaries has the
expected states.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from serve_app.database import Database
from serve_app.errors import LeaseLost
from serve_app.jobs.job import Claim, State
from serve_app.jobs.transitions import MAX_CLAIMS, Retry
from serve_app.stems.options import Priority
from serve_app.stems.request import SeparationJob, Stage
from tests.jobs import NOON, RESULT, ManualClock, asking, new_job, new_store

LEASE_MS = 30_000
LEASE = LEASE_MS / 1000
MAX_ATTEMPTS = 3
WORKERS = st.sampled_from(["one", "two", "three"])


@dataclass
class Known:
    """A job in the model."""

    job: SeparationJob
    claims: list[Claim] = field(default_factory=list)
    lease_ends: int = 0
    holder: Claim | None = None
    failures: int = 0
    cancelled: bool = False
    final: State | None = None
    waits_for: "Known | None" = None


class Queue(RuleBasedStateMachine):
    """The rules: the actions of workers and clients, in any order."""

    database_url: str

    def __init__(self) -> None:
        super().__init__()
        self.database = Database(self.database_url)
        with self.database.writing() as connection:
            connection.execute(text("DELETE FROM queue"))
        self.clock = ManualClock()
        self.store = new_store(self.database, self.clock, max_attempts=MAX_ATTEMPTS)
        self.jobs: dict[str, Known] = {}
        self.milliseconds = 0

    def teardown(self) -> None:
        """Close the database."""
        self.database.close()

    @rule(priority=st.sampled_from(Priority), song=st.sampled_from([None, "one"]))
    def add(self, priority: Priority, song: str | None) -> None:
        """A client adds a song, which may be one that another job has too."""
        number = len(self.jobs)
        job = new_job(f"job-{number:03d}", created_at=self.clock.now)
        options = replace(job.request.options, priority=priority)
        job = asking(job, options=options).evolve(
            updated_at=self.clock.now, priority=priority.rank, same_work=song
        )
        at_work = [
            known
            for known in self._in_turn()
            if song and known.job.same_work == song and not known.cancelled
            if known.waits_for is None
        ]
        self.store.add(job)
        self.jobs[job.id] = Known(job, waits_for=at_work[0] if at_work else None)
        # No two jobs have the same age, so that their order is defined.
        self.pass_time(1)

    @rule(milliseconds=st.sampled_from([500, 10_000, LEASE_MS, 2 * LEASE_MS]))
    def pass_time(self, milliseconds: int) -> None:
        """The clock advances, which is the only way for leases to expire."""
        self.milliseconds += milliseconds
        self.clock.now = NOON + timedelta(milliseconds=self.milliseconds)

    @rule(worker=WORKERS, most=st.integers(1, 4))
    def claim(self, worker: str, most: int) -> None:
        """A worker claims some jobs and gets the next in turn."""
        found = self.store.claim(
            worker,
            lease_seconds=LEASE,
            include_alone=True,
            most=most,
        )
        # Jobs before the first claimable one are ended.
        ended = 0
        while (known := self._next()) and self._is_due_to_end(known):
            ended += 1
            self._end(known, State.CANCELLED if known.cancelled else State.FAILED)
        assert bool(found) is (known is not None)
        assert len(found) <= most
        for job in found:
            known = self._next()
            assert known is not None
            assert not self._is_due_to_end(known)
            self._take(known, job)
        # Fewer are claimed only if there are no more, or if the next one must end.
        known = self._next()
        is_short = 0 < len(found) < most
        assert not is_short or known is None or self._is_due_to_end(known) or ended

    def _is_due_to_end(self, known: Known) -> bool:
        return known.cancelled or len(known.claims) >= MAX_CLAIMS

    def _take(self, known: Known, job: SeparationJob) -> None:
        assert job.id == known.job.id
        assert job.attempt == len(known.claims) + 1
        known.claims.append(job.claim)
        known.holder = job.claim
        known.lease_ends = self.milliseconds + LEASE_MS

    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        """A worker renews its claims, some of which may be lost."""
        if claims := self._claims():
            mine = data.draw(st.lists(st.sampled_from(claims), unique=True))
            renewal = self.store.renew(mine, LEASE)
            held = {claim for claim in mine if self._holds(claim)}
            assert renewal.lost == frozenset(mine) - held
            for claim in held:
                known = self.jobs[claim.job_id]
                known.lease_ends = self.milliseconds + LEASE_MS
                assert (claim in renewal.cancel_requested) is known.cancelled

    @rule(data=st.data())
    def report(self, data: st.DataObject) -> None:
        """A worker reports progress."""
        self._write(
            data, lambda claim: self.store.report(claim, Stage.SEPARATE, 0.5), None
        )

    @rule(data=st.data())
    def succeed(self, data: st.DataObject) -> None:
        """A worker succeeds."""
        self._write(
            data,
            lambda claim: self.store.succeed(claim, RESULT),
            lambda known: State.SUCCEEDED,
        )

    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        """A worker fails a job permanently."""
        self._write(
            data,
            lambda claim: self.store.fail(claim, "code", "why"),
            lambda known: State.FAILED,
        )

    @rule(data=st.data(), is_failure=st.booleans())
    def retry(self, data: st.DataObject, is_failure: bool) -> None:
        """An attempt fails, as a failure of the job or not."""

        def ending(known: Known) -> State | None:
            known.failures += is_failure
            return State.FAILED if known.failures >= MAX_ATTEMPTS else None

        again = Retry("code", "why", is_failure=is_failure)
        self._write(data, lambda claim: self.store.retry(claim, again), ending)

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        """A worker releases a job."""
        self._write(data, self.store.release, lambda known: None)

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """A client cancels a job."""
        if self.jobs:
            known = self.jobs[data.draw(st.sampled_from(sorted(self.jobs)))]
            self.store.cancel(known.job.id)
            if known.final is None:
                known.cancelled = True
                if known.holder is None or known.lease_ends <= self.milliseconds:
                    self._end(known, State.CANCELLED)

    @invariant()
    def the_store_says_what_the_model_says(self) -> None:
        """No job is lost, none ends twice, and none changes after its end."""
        found = self.store.find(self.jobs)
        assert sorted(found) == sorted(self.jobs)
        for job_id, known in self.jobs.items():
            job = found[job_id]
            assert job.attempt == len(known.claims)
            if known.final is not None:
                assert job.state is known.final
                assert job.owner is None
                assert (job.result is not None) is (known.final is State.SUCCEEDED)
            elif known.holder is not None:
                assert (job.state, job.claim) == (State.RUNNING, known.holder)
            else:
                assert job.state is State.QUEUED
                waits_for = known.waits_for and known.waits_for.job.id
                assert job.waits_for == waits_for
        with_result = [job for job in found.values() if job.result is not None]
        assert all(job.state is State.SUCCEEDED for job in with_result)

    def _write(
        self,
        data: st.DataObject,
        write: Callable[[Claim], object],
        ending: Callable[[Known], State | None] | None,
    ) -> None:
        """Write with any claim, old or current: only the holder's has an effect."""
        if not (claims := self._claims()):
            return
        claim = data.draw(st.sampled_from(claims))
        if not self._holds(claim):
            with pytest.raises(LeaseLost):
                write(claim)
            return
        write(claim)
        if ending is None:
            return
        known = self.jobs[claim.job_id]
        final = State.CANCELLED if known.cancelled else ending(known)
        known.holder = None
        if final is not None:
            self._end(known, final)

    def _end(self, known: Known, final: State) -> None:
        """Free the jobs that waited for it: all if it succeeded, else only one.

        No job waits for one that has ended, or for one that itself waits.
        """
        known.holder, known.final = None, final
        waiting = [one for one in self._in_turn() if one.waits_for is known]
        for one in waiting:
            one.waits_for = None if final is State.SUCCEEDED else waiting[0]
        if waiting:
            waiting[0].waits_for = None

    def _claims(self) -> list[Claim]:
        return [claim for known in self.jobs.values() for claim in known.claims]

    def _holds(self, claim: Claim) -> bool:
        """Return whether the claim is the last one; its lease may have expired."""
        return self.jobs[claim.job_id].holder == claim

    def _in_turn(self) -> list[Known]:
        """Return all unfinished jobs, the next one first."""
        open_jobs = [known for known in self.jobs.values() if known.final is None]
        return sorted(
            open_jobs,
            key=lambda k: (k.job.request.options.priority.rank, k.job.created_at),
        )

    def _next(self) -> Known | None:
        """Return the job that is claimed next, or that ends instead."""
        for known in self._in_turn():
            is_free = known.holder is None or known.lease_ends <= self.milliseconds
            if is_free and known.waits_for is None:
                return known
        return None


def test_any_sequence_of_actions_keeps_the_rules(database_url: str) -> None:
    class OnDatabase(Queue):
        pass

    OnDatabase.database_url = database_url
    run_state_machine_as_test(
        OnDatabase,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
