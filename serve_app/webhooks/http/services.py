"""The services that the routes of webhooks use."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from serve_app.webhooks.delivery import Delivery


class Deliveries(Protocol):
    """The webhook deliveries of jobs."""

    def of_job(self, job_id: str) -> Sequence[Delivery]:
        """Return the deliveries of a job."""

    def replay(self, job_id: str, delivery_id: str) -> Delivery:
        """Start a delivery again; raise DeliveryNotFound if the job has no such one."""


class Owners(Protocol):
    """The tenants of jobs."""

    def owns(self, tenant: str, job_id: str) -> bool:
        """Whether a tenant has the job; no one has one that clients can't see."""


@dataclass(frozen=True)
class WebhookServices:
    """The services that the routes of webhooks use."""

    deliveries: Deliveries
    owners: Owners
