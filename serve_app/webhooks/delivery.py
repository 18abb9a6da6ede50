"""A message on its way to its target, and what became of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class DeliveryState(StrEnum):
    """Where a delivery stands; only the first will change by itself."""

    PENDING = "pending"  # it is sent when it is due
    DELIVERED = "delivered"  # the receiver has said so
    FAILED = "failed"  # it was tried for days
    DISABLED = "disabled"  # the receiver wants no more of these


@dataclass(frozen=True)
class Attempt:
    """One attempt at a delivery: the status of its answer, or why there was none."""

    at: datetime
    seconds: float
    status: int | None = None
    error: str | None = None


@dataclass(frozen=True)
class Delivery:
    """A message to `url`, which has the same id however often it is sent.

    Its `body` has the paths of stems, which become URLs when it is sent.

    `attempt` counts how often it was handed out to be sent: a fencing token, never
    reused. `failures` counts those attempts that have failed since the delivery began,
    or was begun anew. Times are UTC.
    """

    id: str
    channel: str
    job_id: str
    url: str
    host: str
    event: str
    body: str
    state: DeliveryState
    attempt: int
    failures: int
    created_at: datetime
    due_at: datetime  # when it is to be sent, or sent again should its sender die
    gives_up_at: datetime
    log: tuple[Attempt, ...] = ()  # the latest attempts
    order_key: str | None = None  # of those that have the same, the oldest goes first
