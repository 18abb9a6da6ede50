"""Conversion of deliveries to their wire model."""

from dataclasses import asdict

from serve_app.webhooks.delivery import Delivery, DeliveryState
from serve_app.webhooks.wire import DeliveryAttempt, DeliveryView


def delivery_view(delivery: Delivery) -> DeliveryView:
    """Return the fields of `delivery` that its client may see."""
    is_pending = delivery.state is DeliveryState.PENDING
    return DeliveryView(
        delivery_id=delivery.id,
        event=delivery.event,
        host=delivery.host,
        state=delivery.state,
        attempts=delivery.attempt,
        created_at=delivery.created_at,
        next_attempt_at=delivery.due_at if is_pending else None,
        log=[DeliveryAttempt(**asdict(attempt)) for attempt in delivery.log],
    )
