"""The service's own routes: its root, and the probes."""

from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from serve_app.api import hosts, negotiation
from serve_app.api.dependencies import InjectedBaseUrl, InjectedServices
from serve_app.api.health import READY_SECONDS, HealthProbe
from serve_app.api.problems import documented
from serve_app.api.wire import Health, Ping, Root

_HTML = "text/html"

router = APIRouter(tags=["service"], responses=documented())
# Pages of every system may read it.
health_router = APIRouter(tags=["service"], responses=documented())


@router.head("/", include_in_schema=False, response_model=Root)
@router.get("/", summary="Describe the service", response_model=Root)
async def root(
    request: Request,
    response: Response,
    services: InjectedServices,
    base_url: InjectedBaseUrl,
) -> Root | Response:
    """Return the service's name and version, and the URLs of its documentation.

    A client that prefers HTML is redirected to the page, if there is one.
    """
    response.headers["Cache-Control"] = "no-store"
    if services.home:
        response.headers["Vary"] = "Accept"
        if negotiation.prefers(request.headers, _HTML, "application/json"):
            path = quote(hosts.root_path(request.scope, services.public_url))
            return RedirectResponse(f"{path}{services.home}", headers=response.headers)
    return Root(
        version=request.app.version,
        docs=f"{base_url}/docs",
        health=f"{base_url}/health",
    )


@router.head("/ping", include_in_schema=False)
@router.get("/ping", summary="Ping the service")
async def ping() -> Ping:
    """Return `ok`, to show that requests arrive."""
    return Ping()


@router.head("/livez", include_in_schema=False)
@router.get("/livez", summary="Check that the process is alive")
async def livez() -> Ping:
    """Return `ok` while the process runs, without further checks."""
    return Ping()


@health_router.head("/health", include_in_schema=False)
@health_router.get(
    "/health",
    summary="Get the health report",
    response_model_exclude_none=True,
)
async def health(request: Request, response: Response) -> Health:
    """Return whether the service can run jobs now, and if not why. Always 200.

    The response comes within 300 ms, from a cached report if the checks take longer.
    `/readyz` returns the value of `ready` as its status.
    """
    probe: HealthProbe = request.app.state.health
    response.headers["Cache-Control"] = "no-store"
    return Health.model_validate(await probe.report())


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    summary="Check that the service is ready",
    response_model_exclude_none=True,
    responses={503: {"model": Health, "description": "Not ready; `reason` says why"}},
)
async def readyz(request: Request, response: Response) -> Health:
    """Return 200 if the service can run jobs now, or 503; `reason` says why not."""
    probe: HealthProbe = request.app.state.health
    report = Health.model_validate(await probe.report(READY_SECONDS))
    response.headers["Cache-Control"] = "no-store"
    response.status_code = 200 if report.ready else 503
    return report
