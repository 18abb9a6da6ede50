"""Where a client wants to be told of its jobs, and of what."""

from dataclasses import dataclass
from enum import StrEnum


class Event(StrEnum):
    """What a webhook may tell of."""

    COMPLETED = "job.completed"
    FAILED = "job.failed"
    CANCELLED = "job.cancelled"


@dataclass(frozen=True)
class Webhook:
    """The address that is told of a job, and which events of it."""

    url: str
    events: tuple[Event, ...] = tuple(Event)
