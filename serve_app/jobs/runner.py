"""What the dispatcher needs of a pool of workers."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from serve_app.errors import Unavailable
from serve_app.jobs.job import AnyJob


@dataclass(frozen=True)
class Started:
    """The job is on the replica of this name, which is never used again."""

    replica: str


@dataclass(frozen=True)
class Progress:
    """How far the whole job is, 0..1, and what is done now."""

    stage: str
    fraction: float


@dataclass(frozen=True)
class Finished:
    """The job is done: its result can be published.

    `beside_seconds` is what went on at the same time, and how long it took;
    `waited_seconds` is how long the rest has waited for that.
    """

    result: Any
    beside_seconds: Mapping[str, float] = field(default_factory=dict)
    waited_seconds: float = 0.0


Event = Started | Progress | Finished


class ReplicaDied(Unavailable):
    """The process that worked on the job is gone."""

    code = "replica_died"


class PoolAway(Unavailable):
    """No worker can be reached."""

    code = "pool_away"


class Runner(Protocol):
    """Starts a job on a pool of workers."""

    def __call__(self, job: AnyJob) -> AsyncGenerator[Event, None]:
        """Yield what happens to `job`: Started before any work, at last Finished.

        Cancelling or closing the generator stops the work. Raises ReplicaDied when the
        worker's process ends, PoolAway, and else what went wrong.
        """
