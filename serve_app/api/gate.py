"""Responses to requests that Serve's proxy can't pass on to the application."""

import asyncio
from contextlib import AsyncExitStack

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api import problems, request_id
from serve_app.api.cors import cors
from serve_app.api.response_headers import ResponseHeaders
from serve_app.errors import TooManyRequests, Unavailable

# Shorter than after other failures: starts and restarts are soon over.
RETRY_AFTER_SECONDS = 1
# Paths that the server answers itself, for probes.
_OWN_PATHS = "/-/"
_TOO_MANY_REQUESTS = 429
# Limits how many streams start at once, so that a burst of them does not delay short
# requests. A stream counts until its response starts.
_STREAMS = "/events"
_STREAMS_STARTED_AT_ONCE = 16


class Gate:
    """Replace the server's own error responses while the application is unavailable.

    Clients take a 404 to mean that a job is gone, and browsers can't read a response
    without CORS headers. So a plain-text error of the server (no route yet, no replica,
    no capacity) becomes a 503 or 429 problem with Retry-After, and so does a request
    that ends without a response. Responses of the application pass unchanged.
    """

    def __init__(self, app: ASGIApp, cors_origins: tuple[str, ...]) -> None:
        self._app = app
        self._unavailable = ResponseHeaders(cors(_answer_unavailable, cors_origins))
        self._full = ResponseHeaders(cors(_answer_full, cors_origins))
        self._starting = asyncio.Semaphore(_STREAMS_STARTED_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _is_for_the_application(scope["path"]):
            await self._app(scope, receive, send)
            return
        async with AsyncExitStack() as turn:
            if scope["path"].endswith(_STREAMS):
                await turn.enter_async_context(self._starting)
            await self._pass_on(scope, receive, send, turn)

    async def _pass_on(
        self, scope: Scope, receive: Receive, send: Send, turn: AsyncExitStack
    ) -> None:
        """Pass the request to the server; `turn` ends when the response starts."""
        status: int | None = None
        is_replaced = False

        async def watched_send(message: Message) -> None:
            nonlocal status, is_replaced
            if message["type"] == "http.response.start":
                await turn.aclose()
                status = message["status"]
                is_replaced = _is_of_the_server(message)
            if not is_replaced:
                await send(message)

        await self._app(scope, receive, watched_send)
        if is_replaced or status is None:
            is_full = status == _TOO_MANY_REQUESTS
            replacement = self._full if is_full else self._unavailable
            await replacement(scope, receive, send)


def _is_for_the_application(path: str) -> bool:
    """Whether a path is neither the server's own nor the `*` of `OPTIONS *`."""
    return path.startswith("/") and not path.startswith(_OWN_PATHS)


def middleware(cors_origins: tuple[str, ...]) -> Middleware:
    """Return the gate as Starlette middleware."""
    return Middleware(Gate, cors_origins)


def _is_of_the_server(start: Message) -> bool:
    """Whether a response is the server's own: the application's errors are JSON."""
    media_type = Headers(raw=start["headers"]).get("content-type", "text/plain")
    return start["status"] >= 400 and media_type.startswith("text/plain")


async def _answer_unavailable(scope: Scope, receive: Receive, send: Send) -> None:
    error = Unavailable(
        "The service is starting or restarting. Accepted jobs are kept. Send the "
        "request again in a few seconds."
    )
    await _answer(error, scope, receive, send)


async def _answer_full(scope: Scope, receive: Receive, send: Send) -> None:
    error = TooManyRequests(
        "The server has reached its limit of requests. Send this one again in a few "
        "seconds."
    )
    await _answer(error, scope, receive, send)


async def _answer(
    error: Unavailable | TooManyRequests, scope: Scope, receive: Receive, send: Send
) -> None:
    identity = request_id.chosen(Headers(scope=scope).get(request_id.HEADER, ""))
    request_id.current.set(identity)
    headers = {
        "Retry-After": str(RETRY_AFTER_SECONDS),
        request_id.HEADER: identity,
    }
    await problems.answer(problems.of(error), headers)(scope, receive, send)
