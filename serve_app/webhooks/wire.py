"""The wire models of webhook deliveries."""

from pydantic import ConfigDict, Field

from serve_app.api.wire import (
    EXAMPLE_UPDATED,
    UtcTime,
    Wire,
)

EXAMPLE_DELIVERY_ID = "msg_7c1d0a9e4b6f4c2d8e3f5a6b7c8d9e0f"


class DeliveryAttempt(Wire):
    """One attempt to deliver a webhook."""

    at: UtcTime
    seconds: float = Field(description="The duration of the attempt.")
    status: int | None = Field(
        default=None, description="The HTTP status of the response."
    )
    error: str | None = Field(default=None, description="Why the attempt failed.")


class DeliveryView(Wire):
    """The delivery of a webhook, with its state and its attempts."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "delivery_id": EXAMPLE_DELIVERY_ID,
                "event": "job.completed",
                "host": "example.com",
                "state": "pending",
                "attempts": 1,
                "created_at": EXAMPLE_UPDATED,
                "next_attempt_at": "2026-11-20T12:01:16Z",
                "log": [{"at": EXAMPLE_UPDATED, "seconds": 0.4, "status": 500}],
            }
        }
    )

    delivery_id: str = Field(description="Also the `webhook-id` of each attempt.")
    event: str
    host: str = Field(description="The host of its URL, which may contain a secret.")
    state: str = Field(description="`pending`, `delivered`, `failed` or `disabled`.")
    attempts: int = Field(description="The number of attempts so far.")
    created_at: UtcTime
    next_attempt_at: UtcTime | None = Field(
        default=None, description="When a pending delivery is sent next."
    )
    log: list[DeliveryAttempt] = Field(description="The latest attempts.")


class DeliveryList(Wire):
    """The webhooks of a job."""

    count: int
    deliveries: list[DeliveryView]
