"""Middleware for every request: the access log, and the response to a failure."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api import forwarding, pieces, problems, request_id, traceparent
from serve_app.api.route_rules import template_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RequestEnd:
    """A request that has ended; the later pieces of a file belong to the first.

    `route` is the template of its path, or empty if it was refused before or the path
    is unknown. `status` is 0 if its client left before the response.
    """

    route: str
    method: str
    status: int
    seconds: float


OnRequest = Callable[[RequestEnd], None]


@dataclass(frozen=True)
class RequestBegin:
    """A request that begins.

    `traceparent` is its valid header of that name, or empty, and `is_trusted` tells
    whether a trusted proxy sent it.
    """

    method: str
    scheme: str
    traceparent: str
    is_trusted: bool


# Begins to trace a request; returns what gets its end, or None if it is not traced.
Trace = Callable[[RequestBegin], OnRequest | None]


class RequestLog:
    """Give each request an id, log it, and report its end to `on_request`.

    With `answers_id` the response has the id, as X-Request-ID. With `trace`, requests
    are traced.
    """

    def __init__(
        self,
        app: ASGIApp,
        answers_id: bool = True,
        on_request: OnRequest = lambda _: None,
        trace: Trace | None = None,
    ) -> None:
        self._app = app
        self._answers_id = answers_id
        self._on_request = on_request
        self._trace = trace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identity = request_id.chosen(Headers(scope=scope).get(request_id.HEADER, ""))
        request_id.current.set(identity)
        traced = self._begin(scope)
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
            seconds = perf_counter() - started
            # Without the query, which may contain secrets; quoted, for newlines.
            path = quote(scope["path"])
            client = (scope.get("client") or ("unknown", 0))[0]
            line = (
                "request completed method=%s path=%s status=%d client=%s "
                "duration=%.1fms request=%s"
            )
            method = scope["method"]
            if pieces.is_first(Headers(scope=scope)):
                values = (method, path, status, client, seconds * 1000, identity)
                logger.info(line, *values)
                end = RequestEnd(template_of(scope), method, status, seconds)
                self._on_request(end)
                if traced is not None:
                    traced(end)

    def _begin(self, scope: Scope) -> OnRequest | None:
        """Begin to trace a request, except for later pieces of a file."""
        headers = Headers(scope=scope)
        if self._trace is None or not pieces.is_first(headers):
            return None
        return self._trace(
            RequestBegin(
                scope["method"],
                scope["scheme"],
                traceparent.accepted(headers.get(traceparent.HEADER, "")),
                forwarding.is_trusted(scope),
            )
        )


class Failures:
    """Turn an unexpected exception into a 500 with CORS headers and no traceback.

    Starlette's own handler runs outside the CORS middleware, so browsers could not read
    its response.
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
            # The response has started: the server must close the connection.
            if has_started:
                raise
            logger.exception("request failed request=%s", request_id.current.get())
            await problems.unexpected()(scope, receive, send)
