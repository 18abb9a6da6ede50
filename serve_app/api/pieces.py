"""Files in pieces, so that a slow client's download needs little memory here.

Serve has no backpressure between a replica and the client: the replica and the proxy
buffer what the application sends until the client has read it. So the proxy requests a
file piece by piece, each when the client has read the one before.
"""

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api.ranges import ByteRange

# In a request: the bytes [start, end) of the response's body, as `start-end`. In a
# response: the body is only a piece, though Content-Length is that of the whole.
HEADER = "x-stemserve-piece"

# A request costs the proxy some milliseconds, so each piece is twice as large as the
# one before. With 1 MiB at most, a download is 40 % slower.
FIRST_BYTES = 256 * 1024
MOST_BYTES = 4 * 1024**2

_NAMED = re.compile(r"(\d{1,18})-(\d{1,18})", re.ASCII)


def requested(headers: Headers, span: ByteRange) -> ByteRange:
    """Return the piece of `span` that a request names, or all of it.

    Only the proxy names pieces: it removes the header from clients' requests.
    """
    named = _NAMED.fullmatch(headers.get(HEADER, ""))
    if named is None:
        return span
    start, end = (min(span.start + int(each), span.end) for each in named.groups())
    return ByteRange(start, max(start, end))


def is_first(headers: Headers) -> bool:
    """Whether a request is not one of the proxy's for a later piece."""
    return headers.get(HEADER, "0-").startswith("0-")


class Pieces:
    """Request files of the application in pieces, and send them as one response.

    If the file is deleted between two pieces, the response stays incomplete, so that
    the client notices.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        response, most_bytes = _Response(receive, send), FIRST_BYTES // 2
        name, headers = HEADER.encode(), _without_piece(scope)
        while response.goes_on:
            start, most_bytes = response.sent_bytes, min(most_bytes * 2, MOST_BYTES)
            piece = f"{start}-{start + most_bytes}".encode()
            request = {**scope, "headers": [*headers, (name, piece)]}
            await self._app(request, response.receiving(), response.next_piece())


def middleware() -> Middleware:
    """Return `Pieces` as Starlette middleware."""
    return Middleware(Pieces)


class WithoutPieces:
    """Remove the header from requests: no proxy here names pieces, so clients did."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "headers": _without_piece(scope)}
        await self._app(scope, receive, send)


def _without_piece(scope: Scope) -> list[tuple[bytes, bytes]]:
    name = HEADER.encode()
    return [each for each in scope["headers"] if each[0].lower() != name]


class _Response:
    """A response that is assembled from the responses for its pieces."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self.sent_bytes = 0
        self.goes_on = True
        self._receive = receive
        self._send = send
        self._status: int | None = None
        self._total_bytes: int | None = None
        self._has_left = False

    def receiving(self) -> Receive:
        """Return the `receive` of the next piece; only the first has the body."""
        is_read = self._status is None

        async def receive() -> Message:
            nonlocal is_read
            if not is_read:
                is_read = True
                return {"type": "http.request", "body": b"", "more_body": False}
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._has_left = True
                self.goes_on = False
            return message

        return receive

    def next_piece(self) -> Send:
        """Return the `send` of the next piece."""
        is_first = self._status is None
        self.goes_on = False  # Until this piece has sent data and is not the last.

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._start(message, is_first)
                if is_first:
                    await self._send(message)
            elif self._total_bytes is None:
                await self._send(message)
            elif data := message.get("body", b""):
                await self._pass_on(data)

        return send

    def _start(self, message: Message, is_first: bool) -> None:
        headers = MutableHeaders(raw=message["headers"])
        is_piece = HEADER in headers
        if is_first:
            self._status = message["status"]
            if is_piece:
                self._total_bytes = int(headers["content-length"]) or None
                del headers[HEADER]
                message["headers"] = headers.raw
        elif not is_piece or message["status"] != self._status:
            raise ConnectionError("the file was deleted while it was sent")

    async def _pass_on(self, data: bytes) -> None:
        self.sent_bytes += len(data)
        is_more = self.sent_bytes < (self._total_bytes or 0)
        self.goes_on = is_more and not self._has_left
        await self._send(
            {"type": "http.response.body", "body": data, "more_body": is_more}
        )
