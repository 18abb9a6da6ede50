"""Requests for paths that can name nothing."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.api import problems


class CheckedPath:
    """Respond with 404 to paths that contain a NUL.

    Nothing has such a name, and Postgres fails if it is asked.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or "\0" not in scope["path"]:
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        response = await problems.on_http_exception(request, HTTPException(404))
        await response(scope, receive, send)
