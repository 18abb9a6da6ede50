"""A job of any kind: its request, its state and progress, and its owner."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

Q = TypeVar("Q")  # a request
R = TypeVar("R")  # a result


class State(StrEnum):
    """The state of a job; the last three are final."""

    QUEUED = "queued"  # waits for a dispatcher to claim it
    RUNNING = "running"  # claimed: an owner holds the lease
    SUCCEEDED = "succeeded"  # its result is published
    FAILED = "failed"  # its `error` says why; it is not tried again
    CANCELLED = "cancelled"  # its client cancelled it

    @property
    def is_final(self) -> bool:
        """Whether a job in this state can only expire, and not change any more."""
        return self in (State.SUCCEEDED, State.FAILED, State.CANCELLED)


# The default priority; jobs with a lower number go first.
NORMAL_PRIORITY = 1


@dataclass(frozen=True)
class PassedBy:
    """The jobs that a claim skips: those of `clients`, and long ones.

    Long jobs cost more than `Rules.short_seconds`. All of them are skipped, or those of
    the clients in `long_jobs_of`.
    """

    clients: frozenset[str] = frozenset()
    long_jobs: bool = False
    long_jobs_of: frozenset[str] = frozenset()


NONE_PASSED_BY = PassedBy()


@dataclass(frozen=True)
class Claim:
    """The right of an (owner, attempt) to write to the job that it runs."""

    job_id: str
    owner: str
    attempt: int


@dataclass(frozen=True)
class Job(Generic[Q, R]):
    """A request and its state in the queue. Times are UTC."""

    id: str
    request: Q
    state: State
    created_at: datetime
    updated_at: datetime
    stage: str | None = None  # one of `Kind.stages`
    progress: float = 0.0  # 0..1
    attempt: int = 0  # the number of claims; a fencing token, never reused
    failures: int = 0  # attempts that failed because of the job itself
    excused: int = 0  # attempts that failed because a service was unavailable
    run_alone: bool = False  # a replica died that ran several jobs, or a disk was full
    owner: str | None = None
    lease_expires_at: datetime | None = None
    started_at: datetime | None = None  # when the current attempt started
    cancel_requested: bool = False
    error: str | None = None
    error_code: str | None = None
    result: R | None = None
    expires_at: datetime | None = None
    tenant: str = ""  # the owner, if the server has tenants
    client: str = ""  # who shares are counted for: tenant or address; never shown
    priority: int = NORMAL_PRIORITY
    # The seconds of the song, or another measure of the work that is the same for all
    # jobs of a kind. Clients take turns by it.
    cost_seconds: float = 0.0
    # The place among jobs of the same priority, in seconds since 1970: the later of the
    # creation time and the last turn of the client's unfinished jobs, plus the cost.
    # Set when the job is added.
    turn: float = 0.0
    disk_bytes: int = 0  # the most disk space that it takes until it has ended
    # Digests of the input and of the work. Of jobs with the same work one is run, and
    # the others wait for it.
    same_input: str | None = None
    same_work: str | None = None
    waits_for: str | None = None  # the id of the job that does the same work
    # At most one job has a key, not counting failed and cancelled ones.
    unique_key: str | None = None
    # Jobs in one lane, such as downloads from one host, have a common limit.
    lane: str | None = None
    # It starts only while fewer of its client's jobs run. Set when the job is added.
    at_once: int | None = None
    audio_seconds: float = 0.0  # what it takes of its tenant's minutes of the day
    request_id: str | None = None  # of the HTTP request that added it
    # The W3C `traceparent` of what caused it: in the database the HTTP request that
    # added it, and in its worker the attempt.
    traceparent: str | None = None
    # The size of its files that are kept until it expires. Before its end, the most
    # that it can be.
    stored_bytes: int = 0

    def evolve(self, **changes: Any) -> "Job[Q, R]":
        """Return this job with `changes` applied."""
        return replace(self, **changes)

    @property
    def claim(self) -> Claim:
        """The claim under which the job runs; ValueError unless it is running."""
        if self.owner is None:
            raise ValueError(f"job {self.id} is not claimed")
        return Claim(self.id, self.owner, self.attempt)


AnyJob = Job[Any, Any]
