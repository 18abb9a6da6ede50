"""Headers and errors for players, which are pages of any origin."""

import json

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api import problems

_DAY_SECONDS = 24 * 3600
_ALLOWED = {
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
    "Access-Control-Allow-Headers": "Range, If-Range, If-None-Match, If-Modified-Since",
    "Access-Control-Max-Age": str(_DAY_SECONDS),
}
_ALWAYS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Content-Length, Content-Range, Accept-Ranges",
    # Also for pages that embed nothing of others unless that allows it.
    "Cross-Origin-Resource-Policy": "cross-origin",
    "X-Content-Type-Options": "nosniff",
    # Whatever a source sends, it is nothing that a browser may run.
    "Content-Security-Policy": "sandbox",
}


class PlayerHeaders:
    """Lets pages of all origins read each response, and answers their preflights."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def open_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                message.setdefault("headers", [])
                MutableHeaders(scope=message).update(_ALWAYS)
            await send(message)

        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] == "OPTIONS":
            preflight = Response(status_code=204, headers=_ALLOWED)
            await preflight(scope, receive, open_send)
        else:
            await self._app(scope, receive, open_send)


class ErrorMembers:
    """Adds `error`, which players of the old API read, to each problem+json."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start: Message | None = None

        async def renaming_send(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                kind = MutableHeaders(scope=message).get("content-type")
                if kind == problems.MEDIA_TYPE:
                    # Sent with the body, whose length changes.
                    start = message
                    return
            elif start is not None:
                body = _with_error(message["body"])
                MutableHeaders(scope=start)["content-length"] = str(len(body))
                await send(start)
                message, start = {**message, "body": body}, None
            await send(message)

        await self._app(scope, receive, renaming_send)


def _with_error(body: bytes) -> bytes:
    problem = json.loads(body)
    return json.dumps({"error": problem["code"], **problem}).encode()
