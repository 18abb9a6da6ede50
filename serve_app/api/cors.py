"""The headers by which browsers let the pages of other origins read answers."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api import problems
from serve_app.api.origins import OriginsByRoute
from serve_app.errors import BadRequest

# Browsers cut it down to what they keep at most: Chromium to two hours.
_PREFLIGHT_SECONDS = 24 * 3600

# These do not stand in a refusal, nor does its first body's form.
_OF_AN_ALLOWED_PREFLIGHT = (
    "access-control-allow-private-network",
    "content-length",
    "content-type",
)

# What scripts in browsers may read of an answer beside its body.
_EXPOSED_HEADERS = (
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Length",
    "Content-Range",
    "ETag",
    "Idempotent-Replayed",
    "Location",
    "Retry-After",
    "X-Request-ID",
)


class _CorsOfOrigins(CORSMiddleware):
    """Starlette's CORS, with refusals of preflights in the form of all other errors.

    Where any origin may call, answers say so to requests without an Origin as well: a
    browser may keep what a link or an `<audio>` has loaded, and give it to a script.
    """

    async def send(
        self, message: Message, send: Send, request_headers: Headers
    ) -> None:
        """Pass on a message of an answer, with CORS headers."""
        is_start = message["type"] == "http.response.start"
        if is_start and self.allow_all_origins and "origin" not in request_headers:
            message.setdefault("headers", [])
            MutableHeaders(scope=message).update(self.simple_headers)
        await super().send(message, send, request_headers)

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer a preflight request."""
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        refusal = bytes(response.body).decode()
        headers = {
            name: value
            for name, value in response.headers.items()
            if name not in _OF_AN_ALLOWED_PREFLIGHT
        }
        detail = f"{refusal}. The operator can allow it: see the CORS settings."
        return problems.answer(problems.of(BadRequest(detail)), headers)


def cors(app: ASGIApp, origins: tuple[str, ...]) -> CORSMiddleware:
    """Give each answer of `app` the headers by which pages of `origins` may read it."""
    return _CorsOfOrigins(
        app,
        allow_origins=origins,
        allow_methods=("GET", "HEAD", "POST", "DELETE", "OPTIONS"),
        allow_headers=("*",),
        # With `*` any site could act for whoever is logged in at a proxy before us.
        allow_credentials="*" not in origins,
        expose_headers=_EXPOSED_HEADERS,
        max_age=_PREFLIGHT_SECONDS,
        # A page on the web may use the service on its reader's own machine: which
        # pages may is what the origins say.
        allow_private_network=True,
    )


class Cors:
    """Gives each answer the headers for the origins that may use its route."""

    def __init__(self, app: ASGIApp, origins: OriginsByRoute) -> None:
        self._app = app
        self._origins = origins
        self._by_origins: dict[tuple[str, ...], CORSMiddleware] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origins = self._origins.of(scope)
        if origins not in self._by_origins:
            self._by_origins[origins] = cors(self._app, origins)
        await self._by_origins[origins](scope, receive, send)
