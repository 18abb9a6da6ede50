"""The routes of webhooks as a part of the HTTP application."""

from serve_app.api.part import ApiPart
from serve_app.webhooks.http import deliveries
from serve_app.webhooks.http.services import WebhookServices


def part(services: WebhookServices) -> ApiPart:
    """Return the part of the application that uses `services`."""
    return ApiPart(
        "webhooks",
        (deliveries.router,),
        # Jobs of every system have deliveries.
        scope="",
        state={"webhooks": services},
    )
