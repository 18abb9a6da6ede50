"""Answers for requests that the server in front of the application can't pass on."""

import asyncio
from contextlib import AsyncExitStack

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api import problems, request_id
from serve_app.api.cors import cors
from serve_app.errors import TooManyRequests, Unavailable

# Shorter than the pause after any other failure: starts and restarts are soon over.
RETRY_AFTER_SECONDS = 1
# Paths of the server itself, which probes ask: its own answers to them stand.
_OWN_PATHS = "/-/"
_TOO_MANY_REQUESTS = 429
# Streams begin as soon as a replica has taken them: a crowd that comes at once begins
# one after the other, and short requests pass it by.
_STREAMS = "/events"
_STREAMS_BEGUN_AT_ONCE = 16


class Gate:
    """Turns the answers of an ASGI server into ours while the application is away.

    To clients a 404 means that a job is gone, and an answer without CORS headers can't
    be read in a browser. So what the server says in plain text, because it has no route
    yet, no replica or no room, becomes a 503 (or 429) problem with Retry-After, and so
    does an answer that breaks off before it has begun. The application's own answers
    pass unchanged.
    """

    def __init__(self, app: ASGIApp, cors_origins: tuple[str, ...]) -> None:
        self._app = app
        self._away = cors(_answer_away, cors_origins)
        self._full = cors(_answer_full, cors_origins)
        self._beginning = asyncio.Semaphore(_STREAMS_BEGUN_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _is_for_the_application(scope["path"]):
            await self._app(scope, receive, send)
            return
        async with AsyncExitStack() as turn:
            if scope["path"].endswith(_STREAMS):
                await turn.enter_async_context(self._beginning)
            await self._pass_on(scope, receive, send, turn)

    async def _pass_on(
        self, scope: Scope, receive: Receive, send: Send, turn: AsyncExitStack
    ) -> None:
        """Have the server answer; the turn is over once it begins to."""
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
            answer = self._full if status == _TOO_MANY_REQUESTS else self._away
            await answer(scope, receive, send)


def _is_for_the_application(path: str) -> bool:
    """Whether a path is not the server's own, nor the `*` of `OPTIONS *`."""
    return path.startswith("/") and not path.startswith(_OWN_PATHS)


def middleware(cors_origins: tuple[str, ...]) -> Middleware:
    """Return the gate as a server that takes Starlette's middleware wants it."""
    return Middleware(Gate, cors_origins)


def _is_of_the_server(start: Message) -> bool:
    """Whether an answer is the server's own: ours tell of errors in JSON only."""
    media_type = Headers(raw=start["headers"]).get("content-type", "text/plain")
    return start["status"] >= 400 and media_type.startswith("text/plain")


async def _answer_away(scope: Scope, receive: Receive, send: Send) -> None:
    error = Unavailable(
        "The service is starting or restarting. Send the request again in a moment; "
        "jobs that were accepted are kept."
    )
    await _answer(error, scope, receive, send)


async def _answer_full(scope: Scope, receive: Receive, send: Send) -> None:
    error = TooManyRequests(
        "The service has more requests than it can hold. Send this one again in a "
        "moment."
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
