"""The route of metrics as a part of the HTTP application."""

from dataclasses import dataclass
from typing import Literal

from fastapi import APIRouter, Request, Response

from serve_app.api.part import ApiPart
from serve_app.telemetry.exposition import Service, rendered
from serve_app.telemetry.scrape import Scraper

# Who may scrape: credentials with the scope `admin`, everyone, or nobody.
MetricsAccess = Literal["admin", "open", "off"]

_TEXT = "text/plain"

router = APIRouter(tags=["service"])


@dataclass(frozen=True)
class Metrics:
    """What the route needs."""

    scraper: Scraper
    service: Service


@router.get(
    "/metrics",
    summary="Get metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {_TEXT: {"schema": {"type": "string"}}}}},
)
async def read_metrics(request: Request) -> Response:
    """Return what the database, the file storage and the disks tell.

    The values are at most 5 s old. If the database does not respond within 3 s, they
    are left out, the status is 200, and `stemserve_database_up` is 0. No value names a
    tenant or a job.
    """
    metrics: Metrics = request.app.state.metrics
    facts = await metrics.scraper.facts()
    accept = request.headers.get("accept", "")
    body, media_type = rendered(facts, metrics.service, accept)
    headers = {"Cache-Control": "no-store", "Vary": "Accept"}
    return Response(body, headers=headers, media_type=media_type)


def parts(metrics: Metrics, access: MetricsAccess) -> tuple[ApiPart, ...]:
    """Return the part with the route, or none if nobody may scrape."""
    if access == "off":
        return ()
    public, operator = ((router,), ()) if access == "open" else ((), (router,))
    part = ApiPart(
        "metrics",
        (),
        public_routers=public,
        operator_routers=operator,
        scope="",
        is_linkable=False,
        state={"metrics": metrics},
    )
    return (part,)
