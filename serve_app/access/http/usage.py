"""The route that lists what tenants have used."""

from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from serve_app.access import scopes
from serve_app.access.wire import UsageDay, UsageList
from serve_app.api.clients import Client
from serve_app.api.dependencies import InjectedClient, InjectedServices
from serve_app.api.part import ApiPart
from serve_app.api.problems import documented
from serve_app.api.threads import run_in_thread
from serve_app.errors import Forbidden, InvalidInput, Unavailable
from serve_app.usage import csv_form
from serve_app.usage.store import UsageStore, period_of
from serve_app.usage.table import day_of


async def _usage(request: Request) -> UsageStore:
    usage: UsageStore = request.app.state.usage
    return usage


InjectedUsage = Annotated[UsageStore, Depends(_usage)]

router = APIRouter(tags=["access"])


@router.get(
    "/usage",
    summary="List what you have used",
    response_model=UsageList,
    responses={
        **documented(InvalidInput, Forbidden, Unavailable),
        200: {"content": {csv_form.MEDIA_TYPE: {"schema": {"type": "string"}}}},
    },
)
async def list_usage(
    request: Request,
    client: InjectedClient,
    services: InjectedServices,
    usage: InjectedUsage,
    first: Annotated[
        date | None,
        Query(alias="from", description="The first day, in UTC. Default: 30 days ago."),
    ] = None,
    last: Annotated[
        date | None, Query(alias="to", description="The last day. Default: today.")
    ] = None,
    tenant: Annotated[
        str | None, Query(description="A tenant, for the scope `admin`. Default: all.")
    ] = None,
    form: Annotated[
        Literal["json", "csv"] | None,
        Query(alias="format", description="Default: that of the Accept header."),
    ] = None,
) -> Response:
    """List what the jobs of a tenant used, by the day on which they were sent.

    Only jobs that succeeded count. A result that an earlier job made takes no device
    seconds. With the scope `admin` the list has all tenants.
    """
    period = period_of(first, last, day_of(services.clock()))
    wanted = _tenant(client, tenant)
    days = await run_in_thread(usage.listed, period, wanted)
    headers = {"Cache-Control": "no-store", "Vary": "Accept"}
    if (form or _accepted(request)) == "csv":
        text = csv_form.as_csv(days)
        return Response(text, headers=headers, media_type=csv_form.MEDIA_TYPE)
    rows = [UsageDay.model_validate(day, from_attributes=True) for day in days]
    body = UsageList(first=period.first, last=period.last, usage=rows)
    return Response(
        body.model_dump_json(by_alias=True),
        headers=headers,
        media_type="application/json",
    )


def usage_part(usage: UsageStore) -> ApiPart:
    """Return the part of the application that lists `usage`."""
    # Credentials of every system may ask what they have used.
    return ApiPart("usage", (router,), scope="", state={"usage": usage})


def _tenant(client: Client, given: str | None) -> str | None:
    """Return the tenant to list, or None for all; raise Forbidden for another's."""
    if scopes.ADMIN in client.scopes:
        return given
    if given not in (None, client.tenant):
        raise Forbidden(
            "The usage of other tenants requires the scope admin. Leave out `tenant`.",
            scopes.ADMIN,
        )
    return client.tenant


def _accepted(request: Request) -> str:
    accepted = request.headers.get("accept", "").lower()
    return "csv" if accepted.startswith(csv_form.MEDIA_TYPE) else "json"
