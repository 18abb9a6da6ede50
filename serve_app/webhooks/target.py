"""The webhook that a client sets for a job."""

from dataclasses import dataclass
from enum import StrEnum


class WebhookEvent(StrEnum):
    """The events that webhooks send."""

    COMPLETED = "job.completed"
    FAILED = "job.failed"
    CANCELLED = "job.cancelled"


@dataclass(frozen=True)
class Webhook:
    """The URL that receives a job's events, and which events it receives.

    `credential` names the credentials that it was set with: links in the messages are
    valid as long as those are. It is None where none were required.
    """

    url: str
    events: tuple[WebhookEvent, ...] = tuple(WebhookEvent)
    credential: str | None = None
