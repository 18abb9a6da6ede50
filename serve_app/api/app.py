"""The HTTP application, put together."""

from importlib.metadata import version
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from serve_app.api import dependencies, docs, problems
from serve_app.api.bodies import Bodies
from serve_app.api.derived import Derived
from serve_app.api.forwarding import ForwardedHeaders
from serve_app.api.hosts import CheckedHost
from serve_app.api.limits import Limit, limits_of
from serve_app.api.middleware import Failures, RequestLog, cors
from serve_app.api.origins import CheckedOrigin
from serve_app.api.routers import (
    analyze,
    deliveries,
    events,
    jobs,
    reports,
    service,
    stems,
    uploads,
)
from serve_app.api.services import Services
from serve_app.api.uploads import Intake
from serve_app.api.watch import JobWatch
from serve_app.errors import AppError, TenantRequired
from serve_app.schema import Problem

_DESCRIPTION = """
Takes a song and gives back its stems, and its analysis.

1. `POST /separate` with the song as the multipart field `file`, or with its `url` as
   JSON: a `job_id` at once.
2. `GET /job/{job_id}` every 2 seconds, until `status` is `completed`; or with
   `?wait=30`, which answers as soon as the job is over; or follow
   `/job/{job_id}/events`.
3. `GET` each stem's `download_url`.

Errors are `application/problem+json` (RFC 9457); `detail` says what to do.
"""


class Api(FastAPI):
    """FastAPI, whose description has the shape of our problems, and examples."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI description of all routes."""
        if self.openapi_schema is None:
            description = super().openapi()
            docs.add_examples(description)
            schemas = description["components"]["schemas"]
            template = "#/components/schemas/{model}"
            problem = Problem.model_json_schema(ref_template=template)
            schemas.update(problem.pop("$defs"), Problem=problem)
        return super().openapi()


def create_app(services: Services, *, answers_request_id: bool = True) -> FastAPI:
    """Make the application over `services`; its working directory is made.

    `answers_request_id` is False behind a server that sends the header itself.
    """
    services.working_dir.mkdir(parents=True, exist_ok=True)
    limits = limits_of(services.limits.max_ongoing_requests)
    app = Api(
        title="stemserve",
        summary="Stems and analysis of songs",
        description=_DESCRIPTION,
        version=version("stemserve"),
        # In their place `docs` serves a page that needs nothing from elsewhere.
        docs_url=None,
        redoc_url=None,
        middleware=_middleware(services, limits.bodies, answers_request_id),
        exception_handlers={
            AppError: problems.on_app_error,
            HTTPException: problems.on_http_exception,
            RequestValidationError: problems.on_validation_error,
        },
    )
    app.webhooks.include_router(deliveries.sent)
    app.state.services = services
    app.state.intake = Intake(services)
    app.state.derived = Derived(services)
    app.state.waiting = limits.waiting
    app.state.watch = JobWatch(services.jobs)
    # What probes ask stays open, and so does the documentation.
    app.include_router(service.router)
    for router in (
        jobs.router,
        events.router,
        stems.router,
        reports.router,
        uploads.router,
        deliveries.router,
        analyze.router,
    ):
        app.include_router(
            router,
            dependencies=[Depends(dependencies.client)],
            responses=problems.documented(TenantRequired),
        )
    docs.serve(app)
    return app


def _middleware(
    services: Services, bodies: Limit, answers_request_id: bool
) -> list[Middleware]:
    """Outermost first: every answer, also that to a failure, gets CORS headers."""
    cors_origins = services.cors_origins
    return [
        Middleware(ForwardedHeaders, trusted=services.trusted_proxies),
        Middleware(RequestLog, answers_id=answers_request_id),
        Middleware(cors, cors_origins),
        Middleware(Failures),
        Middleware(CheckedHost, services.allowed_hosts),
        Middleware(CheckedOrigin, cors_origins, services.public_url),
        Middleware(Bodies, bodies, services.tenant_header),
    ]
