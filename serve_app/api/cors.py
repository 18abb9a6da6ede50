"""CORS headers, with which browsers let pages of other origins read responses."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api import problems
from serve_app.api.origins import OriginsByRoute, any_port_pattern
from serve_app.errors import BadRequest

# Browsers apply their own maximum: Chromium's is two hours.
_PREFLIGHT_SECONDS = 24 * 3600

# Headers of an allowed preflight, or of Starlette's plain text, that a refusal drops.
_NOT_IN_REFUSALS = (
    "access-control-allow-private-network",
    "content-length",
    "content-type",
)

# Response headers that scripts in browsers may read.
_EXPOSED_HEADERS = (
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Length",
    "Content-Range",
    "ETag",
    "Idempotent-Replayed",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "WWW-Authenticate",
    "X-Request-ID",
)


class _CorsOfOrigins(CORSMiddleware):
    """Starlette's CORS middleware, with refused preflights as problem+json.

    If any origin is allowed, responses to requests without an Origin have the headers
    too: a browser may cache what a link or an `<audio>` loaded and give it to a script.
    """

    async def send(
        self, message: Message, send: Send, request_headers: Headers
    ) -> None:
        """Send a message of a response, with CORS headers."""
        is_start = message["type"] == "http.response.start"
        if is_start and self.allow_all_origins and "origin" not in request_headers:
            message.setdefault("headers", [])
            MutableHeaders(scope=message).update(self.simple_headers)
        await super().send(message, send, request_headers)

    def preflight_response(self, request_headers: Headers) -> Response:
        """Return the response to a preflight request."""
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        refusal = bytes(response.body).decode()
        headers = {
            name: value
            for name, value in response.headers.items()
            if name not in _NOT_IN_REFUSALS
        }
        detail = f"{refusal}. The operator can allow it: see STEMSERVE_CORS_ORIGINS."
        return problems.answer(problems.of(BadRequest(detail)), headers)


def cors(app: ASGIApp, origins: tuple[str, ...]) -> CORSMiddleware:
    """Add CORS headers for `origins` to each response of `app`.

    Any method: a route that does not know it says so itself, readably.
    """
    return _CorsOfOrigins(
        app,
        allow_origins=origins,
        allow_origin_regex=any_port_pattern(origins),
        allow_methods=("*",),
        allow_headers=("*",),
        # With `*`, any site could use a user's login at a proxy in front of us.
        allow_credentials="*" not in origins,
        expose_headers=_EXPOSED_HEADERS,
        max_age=_PREFLIGHT_SECONDS,
        # A web page may use a service on its user's own machine, if its origin is
        # allowed.
        allow_private_network=True,
    )


class Cors:
    """Add CORS headers to each response, for the origins allowed on its route."""

    def __init__(self, app: ASGIApp, origins: OriginsByRoute) -> None:
        self._app = app
        self._origins = origins
        self._by_origins: dict[tuple[str, ...], CORSMiddleware] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origins = self._origins.of(scope)
        if origins not in self._by_origins:
            self._by_origins[origins] = cors(self._app, origins)
        await self._by_origins[origins](scope, receive, send)
