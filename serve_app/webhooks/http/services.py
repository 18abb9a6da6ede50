"""What the routes of webhooks are given to work with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from serve_app.webhooks.delivery import Delivery


class Deliveries(Protocol):
    """The webhooks that jobs have, and what became of them."""

    def of_job(self, job_id: str) -> Sequence[Delivery]:
        """Return the deliveries that tell of a job."""

    def replay(self, job_id: str, delivery_id: str) -> Delivery:
        """Begin a delivery anew; DeliveryNotFound if the job has no such one."""


class Owners(Protocol):
    """Whose jobs are."""

    def owner(self, job_id: str) -> str | None:
        """Return the tenant of a job; None for one that clients can't see."""


@dataclass(frozen=True)
class WebhookServices:
    """Everything behind the routes of webhooks."""

    deliveries: Deliveries
    owners: Owners
