"""The dispatcher's interface to a pool of workers."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from serve_app.errors import Unavailable
from serve_app.jobs.job import AnyJob


@dataclass(frozen=True)
class Started:
    """The job was sent to this replica; no other replica ever has the same name."""

    replica: str


@dataclass(frozen=True)
class Progress:
    """The current stage, and the progress of the whole job, 0..1."""

    stage: str
    fraction: float


@dataclass(frozen=True)
class Finished:
    """The job is done: its result can be published.

    `beside_seconds` has the durations of steps that ran in parallel to the stages;
    `waited_seconds` is how long the job waited at its end for these.
    """

    result: Any
    beside_seconds: Mapping[str, float] = field(default_factory=dict)
    waited_seconds: float = 0.0


RunnerEvent = Started | Progress | Finished


class ReplicaDied(Unavailable):
    """The process that ran the job died."""

    code = "replica_died"


class PoolAway(Unavailable):
    """No worker is reachable."""

    code = "pool_away"


class Runner(Protocol):
    """Runs a job on a pool of workers."""

    def __call__(self, job: AnyJob) -> AsyncGenerator[RunnerEvent, None]:
        """Yield the events of `job`: Started before any work, Finished at the end.

        Cancelling or closing the generator stops the work. Raises ReplicaDied if the
        worker's process dies, PoolAway if no worker is reachable, and the job's own
        errors.
        """
