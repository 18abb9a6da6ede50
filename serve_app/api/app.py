"""The HTTP application: the service's own routes and those of its systems."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from serve_app.api import background, docs, problems, service
from serve_app.api.bodies import Bodies
from serve_app.api.cors import Cors
from serve_app.api.door import CheckedDoor
from serve_app.api.forwarding import ForwardedHeaders
from serve_app.api.health import HealthProbe
from serve_app.api.hosts import CheckedHost
from serve_app.api.limits import Limit, limits_of
from serve_app.api.middleware import Failures, RequestLog
from serve_app.api.origins import CheckedOrigin, OriginsByRoute
from serve_app.api.part import ApiPart
from serve_app.api.paths import CheckedPath
from serve_app.api.pieces import WithoutPieces
from serve_app.api.response_headers import ResponseHeaders
from serve_app.api.route_rules import Need, RouteRule, RouteRules
from serve_app.api.services import Services
from serve_app.api.wire import Problem
from serve_app.errors import AppError, Forbidden, TenantRequired, Unauthorized

_ERRORS = """
Errors are `application/problem+json` (RFC 9457). `detail` says what is wrong and what
to do.
"""

# The errors of routes, by what they require.
_REFUSALS: Mapping[Need, Sequence[type[AppError]]] = {
    Need.NOTHING: (),
    Need.SCOPE: (Unauthorized, Forbidden, TenantRequired),
    Need.CREDENTIALS: (Unauthorized, Forbidden),
    Need.ADMIN: (Unauthorized, Forbidden),
    Need.OPERATOR: (Unauthorized, Forbidden),
    Need.OWN: (Unauthorized,),
}

# As OpenAPI describes them: how a request carries an API key or a token.
_CREDENTIALS = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


class Api(FastAPI):
    """FastAPI with the problem schema and code examples in its OpenAPI description."""

    parts: Sequence[ApiPart] = ()

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI description of all routes."""
        if self.openapi_schema is None:
            description = super().openapi()
            docs.add_examples(description, self.parts)
            schemas = description["components"]["schemas"]
            template = "#/components/schemas/{model}"
            problem = Problem.model_json_schema(ref_template=template)
            schemas.update(problem.pop("$defs"), Problem=problem)
            description["components"]["securitySchemes"] = _CREDENTIALS
            # None are needed where access is open.
            description["security"] = [{}, *({name: []} for name in _CREDENTIALS)]
        return super().openapi()


def create_app(
    services: Services, parts: Sequence[ApiPart], *, answers_request_id: bool = True
) -> FastAPI:
    """Create the application from the `parts` of its systems.

    `answers_request_id` is False behind a server that sends X-Request-ID itself.
    """
    limits = limits_of(services.max_ongoing_requests)
    origins, rules = OriginsByRoute(services.cors_origins), RouteRules()
    app = Api(
        title="stemserve",
        summary="Stems and analysis of songs",
        description="\n".join([*(part.description for part in parts), _ERRORS]),
        version=version("stemserve"),
        # `docs` serves its own page instead, which loads nothing from other hosts.
        docs_url=None,
        redoc_url=None,
        lifespan=background.lifespan(parts),
        middleware=_middleware(
            services, origins, rules, limits.bodies, answers_request_id
        ),
        exception_handlers={
            AppError: problems.on_app_error,
            HTTPException: problems.on_http_exception,
            RequestValidationError: problems.on_validation_error,
        },
    )
    app.parts = parts
    app.state.services = services
    app.state.waiting = limits.waiting
    app.state.rules = rules
    app.state.health = HealthProbe(parts, services.clock, services.door.is_open)
    # Probes and the documentation require no credentials.
    before = len(app.routes)
    app.include_router(service.health_router)
    origins.share(app.routes[before:])
    app.include_router(service.router)
    docs.serve(app)
    rules.add(app.routes, RouteRule(Need.NOTHING))
    for part in parts:
        origins.add(part, _included(app, part, rules))
    rules.check(app.routes)
    return app


def _included(app: FastAPI, part: ApiPart, rules: RouteRules) -> Sequence[BaseRoute]:
    """Add a part to the application and return its routes."""
    count = len(app.routes)
    for name, value in part.state.items():
        if hasattr(app.state, name):
            raise ValueError(
                f"app.state.{name} is already set. Use another name in {part.name}."
            )
        setattr(app.state, name, value)
    for rule, routers in part.routers_by_rule():
        before = len(app.routes)
        refusals = problems.documented(*_REFUSALS[rule.need])
        for router in routers:
            app.include_router(router, responses=refusals)
        rules.add(app.routes[before:], rule)
    if part.sent is not None:
        app.webhooks.include_router(part.sent)
    return app.routes[count:]


def _middleware(
    services: Services,
    origins: OriginsByRoute,
    rules: RouteRules,
    bodies: Limit,
    answers_request_id: bool,
) -> list[Middleware]:
    """Return the middleware, outermost first: error responses get CORS headers too."""
    untrusted = [] if services.has_pieces else [Middleware(WithoutPieces)]
    return [
        *untrusted,
        Middleware(ResponseHeaders),
        Middleware(ForwardedHeaders, trusted=services.trusted_proxies),
        Middleware(
            RequestLog,
            answers_id=answers_request_id,
            on_request=services.on_request,
            trace=services.trace,
        ),
        Middleware(Cors, origins),
        Middleware(Failures),
        Middleware(CheckedPath),
        Middleware(CheckedHost, services.allowed_hosts),
        Middleware(CheckedOrigin, origins, services.public_url),
        Middleware(CheckedDoor, services.door, rules),
        Middleware(Bodies, rules, bodies),
    ]
