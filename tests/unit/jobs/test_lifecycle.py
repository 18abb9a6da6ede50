"""Any order of events, held against a model of what a job may become."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
)

from serve_app.database import Database
from serve_app.errors import JobNotFound, LeaseLost
from serve_app.jobs.job import Claim, State
from serve_app.jobs.transitions import MAX_CLAIMS, Retry
from serve_app.stems.request import SeparationJob
from tests.jobs import RESULT, ManualClock, new_job, new_store, stored

# Hundreds of commits: what a disk needs to sync them is not the matter here.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
LEASE = 30.0
KEPT = 100.0
OWNERS = st.sampled_from(["ann", "bob"])


class Lifecycle(RuleBasedStateMachine):
    """Owners that claim, end, die and come back, and clients that cancel."""

    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY)
        self.clock = ManualClock()
        path = Path(self.folder.name, "jobs.sqlite3")
        self.database = Database(f"sqlite:///{path}")
        self.store = new_store(
            self.database, self.clock, max_attempts=2, retention_seconds=KEPT
        )
        self.added = 0
        self.holders: dict[str, Claim] = {}
        self.ended: dict[str, SeparationJob] = {}
        self.cancelled: set[str] = set()

    def teardown(self) -> None:
        """Leave no file behind."""
        self.database.close()
        self.folder.cleanup()

    @rule()
    def add(self) -> None:
        """A client hands a song in."""
        job_id = f"job-{self.added}"
        self.store.add(new_job(job_id, created_at=self.clock.now))
        self.added += 1

    @rule(target=claims, owner=OWNERS, include_alone=st.booleans())
    def claim(self, owner: str, include_alone: bool) -> Claim:
        """An owner asks for a job; nobody else holds it from then on."""
        found = self.store.claim(
            owner,
            lease_seconds=LEASE,
            include_alone=include_alone,
        )
        if not found:
            return multiple()  # type: ignore[return-value]
        (job,) = found
        before = self.holders.get(job.id)
        assert job.attempt == (before.attempt + 1 if before else 1) <= MAX_CLAIMS
        assert include_alone or not job.run_alone
        assert job.id not in self.cancelled
        self.holders[job.id] = job.claim
        return job.claim

    @rule(claim=claims)
    def renew(self, claim: Claim) -> None:
        """An owner shows that it is alive; who lost its claim is told so."""
        renewal = self.store.renew([claim], LEASE)
        assert (renewal.lost == {claim}) is not self.holds(claim)

    @rule(
        claim=consumes(claims),
        ending=st.sampled_from(["succeed", "fail", "failure", "no failure", "release"]),
    )
    def end(self, claim: Claim, ending: str) -> None:
        """An attempt ends; one that is not the latest can change nothing."""
        held = self.holds(claim)
        try:
            self.write(claim, ending)
        except LeaseLost:
            assert not held
        else:
            assert held

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """A client gives a song up, known or not."""
        number = data.draw(st.integers(0, max(self.added - 1, 0)))
        try:
            job = self.store.cancel(f"job-{number}")
        except JobNotFound:
            return
        if not job.state.is_final or job.state is State.CANCELLED:
            self.cancelled.add(job.id)

    @rule(seconds=st.sampled_from([1.0, LEASE, KEPT]))
    def wait(self, seconds: float) -> None:
        """Time passes, and leases with it."""
        self.clock.advance(seconds)

    @rule()
    def expire(self) -> None:
        """What has ended long ago goes."""
        for job in self.store.due_for_expiry(9):
            assert job.state.is_final
            self.store.remove(job.id)
            self.ended.pop(job.id, None)

    @invariant()
    def what_has_ended_stays_as_it_was(self) -> None:
        """No final job changes, and none that was cancelled ends otherwise."""
        found = {job.id: job for job in stored(self.database)}
        for job_id, job in self.ended.items():
            assert found[job_id] == job
        for job in found.values():
            if job.state.is_final:
                self.ended[job.id] = job
                assert job.expires_at is not None
                assert (job.state is State.CANCELLED) == (job.id in self.cancelled)

    def holds(self, claim: Claim) -> bool:
        """Whether `claim` is that under which its job runs."""
        try:
            job = self.store.get(claim.job_id)
        except JobNotFound:
            return False
        return job.state is State.RUNNING and self.holders[job.id] == claim

    def write(self, claim: Claim, ending: str) -> None:
        """End the attempt of `claim` in the way of that name."""
        if ending == "succeed":
            self.store.succeed(claim, RESULT)
        elif ending == "fail":
            self.store.fail(claim, "code", "why")
        elif ending == "release":
            self.store.release(claim)
        else:
            retry = Retry("code", "why", is_failure=ending == "failure", run_alone=True)
            self.store.retry(claim, retry)


TestLifecycle = Lifecycle.TestCase
TestLifecycle.settings = settings(
    max_examples=12,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
