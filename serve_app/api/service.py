"""What the service says of itself."""

from fastapi import APIRouter, Request, Response

from serve_app.api.dependencies import InjectedBaseUrl
from serve_app.api.health import READY_SECONDS, HealthProbe
from serve_app.api.problems import documented
from serve_app.api.wire import Health, Ping, Root

router = APIRouter(tags=["service"], responses=documented())


@router.head("/", include_in_schema=False)
@router.get("/", summary="Say what is served here")
async def root(request: Request, response: Response, base_url: InjectedBaseUrl) -> Root:
    """Name the service and its version, and say where its documentation is."""
    response.headers["Cache-Control"] = "no-store"
    return Root(
        version=request.app.version,
        docs=f"{base_url}/docs",
        health=f"{base_url}/health",
    )


@router.head("/ping", include_in_schema=False)
@router.get("/ping", summary="Say hello")
async def ping() -> Ping:
    """Answer, to show that requests arrive."""
    return Ping()


@router.head("/livez", include_in_schema=False)
@router.get("/livez", summary="Is the process alive?")
async def livez() -> Ping:
    """Answer for as long as the process runs; nothing else is looked at."""
    return Ping()


@router.head("/health", include_in_schema=False)
@router.get(
    "/health",
    summary="How is the service?",
    response_model_exclude_none=True,
)
async def health(request: Request, response: Response) -> Health:
    """Say whether jobs can be done now, on what, and if not why; always with 200.

    The answer comes within 300 ms: what takes longer to find out is in the next one.
    `ready` says what `/readyz` answers by its status.
    """
    probe: HealthProbe = request.app.state.health
    response.headers["Cache-Control"] = "no-store"
    return Health.model_validate(await probe.report())


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    summary="Is the service ready?",
    response_model_exclude_none=True,
    responses={503: {"model": Health, "description": "Not ready; `reason` says why"}},
)
async def readyz(request: Request, response: Response) -> Health:
    """Answer 200 if jobs can be done now, 503 if not; `reason` says why."""
    probe: HealthProbe = request.app.state.health
    report = Health.model_validate(await probe.report(READY_SECONDS))
    response.headers["Cache-Control"] = "no-store"
    response.status_code = 200 if report.ready else 503
    return report
