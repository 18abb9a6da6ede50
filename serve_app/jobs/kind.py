"""What the queue must know of a kind of job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic

from serve_app.jobs.job import Job, Q, R
from serve_app.webhooks.message import Message

_LONGEST_DELAY_SECONDS = 300.0


@dataclass(frozen=True)
class Share:
    """What one client's jobs that have not ended may take of the service."""

    queued_jobs: int
    disk_bytes: int


@dataclass(frozen=True)
class Rules:
    """How many jobs of a kind there may be, how often each is tried, how long kept.

    `max_queued` jobs may wait; of them one client's may take its `share`. `at_once` run
    in the whole cluster, and `at_once_per_lane` of one lane; None is any number. A job
    that fails `max_attempts` times by its own doing has failed; between two attempts
    it waits for `retry_seconds`, the last of them from then on. It is kept for
    `retention_seconds` after its end, or for good if that is None. `short_seconds` is
    the cost up to which a job is short; see `PassedBy`.
    """

    max_queued: int = 1_000_000
    share: Share | None = None
    max_attempts: int = 3
    retry_seconds: Sequence[float] = (5.0, 20.0, 80.0, _LONGEST_DELAY_SECONDS)
    retention_seconds: float | None = 1800.0
    at_once: int | None = None
    at_once_per_lane: int | None = None
    short_seconds: float = 600.0

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ValueError("max_attempts must be at least 1")
        if not self.retry_seconds:
            raise ValueError("retry_seconds must have at least one delay")

    @property
    def claims_take_turns(self) -> bool:
        """Whether what runs must be counted before more is begun."""
        return self.at_once is not None or self.at_once_per_lane is not None

    def delay_seconds(self, attempt: int) -> float:
        """How long a job waits after its failed `attempt`, the first being 1."""
        return self.retry_seconds[min(attempt, len(self.retry_seconds)) - 1]


@dataclass(frozen=True)
class Kind(Generic[Q, R]):
    """A kind of job: its name, the types of request and result, its stages and rules.

    `request` and `result` are frozen dataclasses of what JSON can hold. `stages` are in
    the order in which a job passes them. `folders` are those in storage in which jobs
    have files, each below its id; of these `working_folders` are deleted when a job
    ends without a result. Systems override the methods.
    """

    name: str
    request: type[Q]
    result: type[R]
    stages: tuple[str, ...]
    rules: Rules = field(default_factory=Rules)
    folders: tuple[str, ...] = ()
    working_folders: tuple[str, ...] = ()
    done_event: str = "job succeeded"  # what the log calls it

    def messages(self, job: Job[Q, R], now: datetime) -> Sequence[Message]:
        """Return what is to be sent when `job` has ended, in the same transaction."""
        return ()

    def is_wanted(self, job: Job[Q, R], key: str) -> bool:
        """Whether the file of `job` at `key` is of any use still."""
        return True

    def title(self, job: Job[Q, R]) -> str:
        """Return what a log calls the job, beside its id."""
        return ""

    def log_fields(self, job: Job[Q, R]) -> Mapping[str, Any]:
        """Return what else the log says of a job that succeeded."""
        return {}


AnyKind = Kind[Any, Any]
