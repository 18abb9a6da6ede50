"""What happens around every request: its log line, its CORS headers, its failures."""

import logging
from time import perf_counter
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api import pieces, problems, request_id
from serve_app.errors import BadRequest

logger = logging.getLogger(__name__)

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


class RequestLog:
    """Gives each request an id and a line of log.

    The id goes back with the answer if `answers_id`.
    """

    def __init__(self, app: ASGIApp, answers_id: bool = True) -> None:
        self._app = app
        self._answers_id = answers_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identity = request_id.chosen(Headers(scope=scope).get(request_id.HEADER, ""))
        request_id.current.set(identity)
        started, status = perf_counter(), 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self._answers_id:
                    MutableHeaders(scope=message)[request_id.HEADER] = identity
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            elapsed_ms = (perf_counter() - started) * 1000
            # The path alone: a query may carry secrets. Quoted: it may carry newlines.
            path = quote(scope["path"])
            client = (scope.get("client") or ("unknown", 0))[0]
            line = "%s %s %s client=%s %.1f ms [%s]"
            method = scope["method"]
            if pieces.is_first(Headers(scope=scope)):
                logger.info(line, method, path, status, client, elapsed_ms, identity)


class Cors(CORSMiddleware):
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


def cors(app: ASGIApp, origins: tuple[str, ...]) -> Cors:
    """Give each answer of `app` the headers by which pages of `origins` may read it."""
    return Cors(
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


class Failures:
    """Turns what nobody expected into a 500 that has CORS headers and no traceback.

    Starlette's own handler of these stands outside the CORS middleware, where browsers
    could not read its answer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_started = False

        async def watched_send(message: Message) -> None:
            nonlocal has_started
            has_started = has_started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        except Exception:
            # Half an answer can't be taken back: the server must cut the connection.
            if has_started:
                raise
            logger.exception("request %s failed", request_id.current.get())
            await problems.unexpected()(scope, receive, send)
