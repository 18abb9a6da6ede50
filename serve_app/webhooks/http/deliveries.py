"""The routes that list and replay webhook deliveries."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from serve_app.api import idempotency
from serve_app.api.clients import Client
from serve_app.api.dependencies import InjectedClient
from serve_app.api.problems import documented
from serve_app.api.threads import run_in_thread
from serve_app.errors import BadRequest, DeliveryNotFound, JobNotFound, Unavailable
from serve_app.webhooks.delivery import Delivery
from serve_app.webhooks.http.services import WebhookServices
from serve_app.webhooks.view import delivery_view
from serve_app.webhooks.wire import (
    DeliveryList,
    DeliveryView,
)


async def _services(request: Request) -> WebhookServices:
    services: WebhookServices = request.app.state.webhooks
    return services


InjectedWebhooks = Annotated[WebhookServices, Depends(_services)]

router = APIRouter(tags=["webhooks"])

_ACCEPTED = 202


@router.get(
    "/job/{job_id}/deliveries",
    summary="List the webhooks of a job",
    response_model_exclude_none=True,
    responses=documented(JobNotFound, Unavailable),
)
async def list_deliveries(
    job_id: str,
    response: Response,
    client: InjectedClient,
    services: InjectedWebhooks,
) -> DeliveryList:
    """List the webhook deliveries of a job with their attempts.

    There are none until the job has ended.
    """
    response.headers["Cache-Control"] = "no-store"
    deliveries = await run_in_thread(_deliveries, services, client, job_id)
    views = [delivery_view(delivery) for delivery in deliveries]
    return DeliveryList(count=len(views), deliveries=views)


@router.post(
    "/job/{job_id}/deliveries/{delivery_id}/replay",
    status_code=_ACCEPTED,
    summary="Send a webhook again",
    response_model=DeliveryView,
    responses=documented(BadRequest, JobNotFound, DeliveryNotFound, Unavailable),
)
async def replay(
    job_id: str,
    delivery_id: str,
    request: Request,
    client: InjectedClient,
    services: InjectedWebhooks,
    _: idempotency.Key = None,
) -> Response:
    """Send a webhook again, with the same `webhook-id`, whatever its state is.

    If it fails, it is retried on the schedule of a new webhook.
    """
    once = idempotency.once(request, client, [])
    if once is not None and (before := await once.before()):
        return idempotency.replayed(before)
    delivery = await run_in_thread(_replay, services, client, job_id, delivery_id)
    view = delivery_view(delivery)
    begun = view.model_dump(mode="json", exclude_none=True)
    if once is not None and (before := await once.keep(_ACCEPTED, begun)):
        return idempotency.replayed(before)
    return JSONResponse(begun, _ACCEPTED)


def _deliveries(
    services: WebhookServices, client: Client, job_id: str
) -> list[Delivery]:
    _check_owner(services, client, job_id)
    return list(services.deliveries.of_job(job_id))


def _replay(
    services: WebhookServices, client: Client, job_id: str, delivery_id: str
) -> Delivery:
    _check_owner(services, client, job_id)
    return services.deliveries.replay(job_id, delivery_id)


def _check_owner(services: WebhookServices, client: Client, job_id: str) -> None:
    """Raise JobNotFound unless the client has the job."""
    if not services.owners.owns(client.tenant, job_id):
        raise JobNotFound
