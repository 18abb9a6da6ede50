"""A kind of job, and its rules in the queue."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic

from serve_app.jobs.job import Job, Q, R
from serve_app.usage.used import JobUsage
from serve_app.webhooks.message import Message

_LONGEST_DELAY_SECONDS = 300.0


@dataclass(frozen=True)
class Share:
    """The limits on one client's unfinished jobs."""

    queued_jobs: int
    disk_bytes: int


@dataclass(frozen=True)
class Rules:
    """The limits, retries and retention of a kind of job.

    At most `max_queued` jobs are queued, and each client's jobs stay within `share`.
    At most `at_once` jobs run in the whole cluster, and `at_once_per_lane` in one lane;
    None is no limit. A job fails after `max_attempts` failed attempts. The delays
    between them are `retry_seconds`, the last of which repeats. The death of a replica
    that ran only this job is a failure if `deaths_are_failures`. A job is kept for
    `retention_seconds` after its end, or forever if that is None. `short_seconds` is
    the highest cost of a short job; see `PassedBy`.
    """

    max_queued: int = 1_000_000
    share: Share | None = None
    max_attempts: int = 3
    retry_seconds: Sequence[float] = (5.0, 20.0, 80.0, _LONGEST_DELAY_SECONDS)
    deaths_are_failures: bool = True
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
        """Whether a claim must count the running jobs first, alone."""
        return self.at_once is not None or self.at_once_per_lane is not None

    def delay_seconds(self, failures: int) -> float:
        """Return the delay after so many failures, at least 1."""
        return self.retry_seconds[min(failures, len(self.retry_seconds)) - 1]


@dataclass(frozen=True)
class Kind(Generic[Q, R]):
    """A kind of job: its name, the types of request and result, its stages and rules.

    `request` and `result` are frozen dataclasses of JSON values. `stages` are in the
    order in which a job goes through them. `folders` are the storage folders with files
    of jobs, each job's below its id. Of these, `working_folders` are deleted when a job
    ends without a result. Systems override the methods.
    """

    name: str
    request: type[Q]
    result: type[R]
    stages: tuple[str, ...]
    rules: Rules = field(default_factory=Rules)
    folders: tuple[str, ...] = ()
    working_folders: tuple[str, ...] = ()
    done_event: str = "job succeeded"  # the event in the log

    def messages(self, job: Job[Q, R], now: datetime) -> Sequence[Message]:
        """Return the messages to post in the transaction that ends `job`."""
        return ()

    def usage(self, job: Job[Q, R]) -> JobUsage | None:
        """Return what `job`, which has succeeded, used; None is not recorded."""
        return None

    def stored_bytes(self, job: Job[Q, R]) -> int:
        """Return the size of the files that are kept of `job`, which has ended."""
        return job.stored_bytes

    def is_wanted(self, job: Job[Q, R], key: str) -> bool:
        """Return whether `job` still needs its file at `key`."""
        return True

    def title(self, job: Job[Q, R]) -> str:
        """Return the job's name in the log, or "" for none."""
        return ""

    def log_fields(self, job: Job[Q, R]) -> Mapping[str, Any]:
        """Return more fields for the log line of a job that succeeded."""
        return {}


AnyKind = Kind[Any, Any]
