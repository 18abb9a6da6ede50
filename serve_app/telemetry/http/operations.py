"""The route of what operators look at, as a part of the HTTP application."""

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from serve_app.api.part import ApiPart
from serve_app.api.problems import documented
from serve_app.telemetry.operations import Operations
from serve_app.telemetry.wire import OperationsView, view

router = APIRouter(tags=["service"], responses=documented())


@dataclass(frozen=True)
class OperationsServices:
    """What the route needs; `systems` are those of the kinds of jobs."""

    operations: Operations
    systems: Mapping[str, str]


@router.get("/operations", summary="Get what operators look at")
async def read_operations(request: Request, response: Response) -> OperationsView:
    """Return the queues, the pools, the speed, and the last failures with reasons.

    The values are those of `GET /metrics`, at most 5 s old. What can't be read within
    3 s is null. No value names a song or a tenant.
    """
    services: OperationsServices = request.app.state.operations
    response.headers["Cache-Control"] = "no-store"
    return view(await services.operations.facts(), services.systems)


def part(services: OperationsServices) -> ApiPart:
    """Return the part with the route, for operators only."""
    return ApiPart(
        "operations",
        (),
        operator_routers=(router,),
        scope="",
        is_linkable=False,
        state={"operations": services},
    )
