"""The delivery of a message, with its state and its attempts."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class DeliveryState(StrEnum):
    """The state of a delivery; only a replay changes one of the last three."""

    PENDING = "pending"  # sent when it is due
    DELIVERED = "delivered"  # a response had a 2xx status
    FAILED = "failed"  # all attempts failed, for days
    DISABLED = "disabled"  # a response had the status 410


@dataclass(frozen=True)
class Attempt:
    """An attempt at a delivery: the response's status, or why there was no response."""

    at: datetime
    seconds: float
    status: int | None = None
    error: str | None = None


@dataclass(frozen=True)
class Delivery:
    """The delivery of a message to `url`, with the same id for all attempts.

    Its `body` has paths, which become URLs when it is sent.

    `attempt` is the number of claims: a fencing token, never reused. `failures` is the
    number of failed attempts since the delivery was created or replayed. Times are UTC.
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
    due_at: datetime  # when the next attempt is due, or when the sender's lease ends
    gives_up_at: datetime  # no attempt is made after this time
    log: tuple[Attempt, ...] = ()  # the latest attempts
    order_key: str | None = None  # deliveries with the same key are sent oldest first
    traceparent: str | None = None  # the trace of the job
