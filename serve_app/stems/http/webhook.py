"""What is sent when the job of a song ends, for the description of the API."""

from fastapi import APIRouter

from serve_app.stems.wire import WebhookMessage
from serve_app.webhooks.target import Event

sent = APIRouter(tags=["webhooks"])


def _on_end(message: WebhookMessage) -> None:
    """Be told of a job's end, by a POST that is signed as Standard Webhooks has it.

    The headers are `webhook-id`, `webhook-timestamp` and `webhook-signature`. Answer
    with any 2xx within 15 seconds; anything else, redirects included, is tried again
    for 3 days. 410 ends what is sent to this URL. The same message may come twice, with
    the same `webhook-id`.
    """


for _event in Event:
    sent.add_api_route(
        _event,
        _on_end,
        methods=["POST"],
        summary=f"On {_event}",
        status_code=204,
        responses={"default": {"description": "What is no 2xx is tried again"}},
    )
