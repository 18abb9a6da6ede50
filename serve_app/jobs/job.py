"""A job of any kind: what was asked, how far it is, and who owns it."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

Q = TypeVar("Q")  # a request
R = TypeVar("R")  # a result


class State(StrEnum):
    """Where a job stands; the last three are final."""

    QUEUED = "queued"  # waits for a dispatcher to claim it
    RUNNING = "running"  # claimed: an owner holds the lease
    SUCCEEDED = "succeeded"  # its result is published
    FAILED = "failed"  # its `error` says why; it is not tried again
    CANCELLED = "cancelled"  # its client asked for that

    @property
    def is_final(self) -> bool:
        """Whether a job in this state will never change again but expire."""
        return self in (State.SUCCEEDED, State.FAILED, State.CANCELLED)


# The rank of a job that is neither urgent nor put off; lower ranks go first.
NORMAL_PRIORITY = 1


@dataclass(frozen=True)
class PassedBy:
    """Which jobs are not to be begun now: those of some clients, and long ones.

    Long ones are those over `Rules.short_seconds`: all of them, or some clients'.
    """

    clients: frozenset[str] = frozenset()
    long_jobs: bool = False
    long_jobs_of: frozenset[str] = frozenset()


NONE_PASSED_BY = PassedBy()


@dataclass(frozen=True)
class Claim:
    """The right to write to a job that runs as this (owner, attempt)."""

    job_id: str
    owner: str
    attempt: int


@dataclass(frozen=True)
class Job(Generic[Q, R]):
    """One request on its way through the service. Times are UTC."""

    id: str
    request: Q
    state: State
    created_at: datetime
    updated_at: datetime
    stage: str | None = None  # one of its kind's
    progress: float = 0.0  # 0..1
    attempt: int = 0  # counts claims; a fencing token, never reused
    failures: int = 0  # counts the attempts that failed through the job itself
    excused: int = 0  # counts the attempts that ended because something else was away
    run_alone: bool = False  # a replica died under it and others: find the culprit
    owner: str | None = None
    lease_expires_at: datetime | None = None
    started_at: datetime | None = None  # when the attempt under way was begun
    cancel_requested: bool = False
    error: str | None = None
    error_code: str | None = None
    result: R | None = None
    expires_at: datetime | None = None
    tenant: str = ""  # whose it is, where the operator tells clients apart
    client: str = ""  # for whom it is counted: the tenant, else an address; never shown
    priority: int = NORMAL_PRIORITY
    # How much of the service it takes, in seconds of a song or another unit that is the
    # same for all jobs of a kind: clients take turns by it.
    cost_seconds: float = 0.0
    # In seconds since 1970, when it has its turn among others of its priority: the time
    # at which it came, but after the other jobs of its client, and as much later as it
    # costs. Set when it is added.
    turn: float = 0.0
    disk_bytes: int = 0  # the most that it takes of disks until it has ended
    # Digests that jobs share which have the same input, and which do the same work: of
    # these one is computed, and the others wait for it.
    same_input: str | None = None
    same_work: str | None = None
    waits_for: str | None = None  # the id of the job that does the same work
    # What only one job at a time may be about, unless that failed or was cancelled.
    unique_key: str | None = None
    # Jobs in one lane, such as downloads from one host, are bounded together.
    lane: str | None = None

    def evolve(self, **changes: Any) -> "Job[Q, R]":
        """Return this job with `changes` applied."""
        return replace(self, **changes)

    @property
    def claim(self) -> Claim:
        """The claim under which the job runs now; only a running job has one."""
        if self.owner is None:
            raise ValueError(f"job {self.id} is not claimed")
        return Claim(self.id, self.owner, self.attempt)


AnyJob = Job[Any, Any]
