"""What happens around every request: its log line, its failures."""

import logging
from time import perf_counter
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api import pieces, problems, request_id

logger = logging.getLogger(__name__)


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
