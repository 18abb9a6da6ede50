"""The OpenAPI description of the webhooks that are sent when a job ends."""

from fastapi import APIRouter

from serve_app.stems.wire import WebhookMessage
from serve_app.webhooks.target import WebhookEvent

sent = APIRouter(tags=["webhooks"])


def _on_end(message: WebhookMessage) -> None:
    """Notify of a job's end by a POST, signed according to Standard Webhooks.

    The headers are `webhook-id`, `webhook-timestamp` and `webhook-signature`. Respond
    with any 2xx within 15 seconds. After any other response, redirects included, the
    server retries for 3 days. After a 410 it sends nothing more to this URL. A message
    may arrive twice, with the same `webhook-id`.
    """


for _event in WebhookEvent:
    sent.add_api_route(
        _event,
        _on_end,
        methods=["POST"],
        summary=f"On {_event}",
        status_code=204,
        responses={"default": {"description": "Any other status: retried"}},
    )
