"""Files in pieces, so that a client that reads slowly holds little of them in memory.

Serve has no backpressure between a replica and the client: what the application sends
is held by the replica and the proxy until the client has read it. So the proxy asks for
a file piece by piece, the next one when the client has taken the last.
"""

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api.ranges import ByteRange

# In a request: the bytes [start, end) of the answer's body, as `start-end`. In an
# answer: that its body is a piece only, though its Content-Length is that of all of it.
HEADER = "x-stemserve-piece"

# Each costs the proxy some milliseconds: whoever has read one gets twice as much. With
# 1 MiB at most a download is 40 % slower.
FIRST_BYTES = 256 * 1024
MOST_BYTES = 4 * 1024**2

_NAMED = re.compile(r"(\d{1,18})-(\d{1,18})", re.ASCII)


def asked(headers: Headers, part: ByteRange) -> ByteRange:
    """Return the piece of a part that a request asks for: all of it if it names none.

    Only the proxy names one: it takes the header from what clients send.
    """
    named = _NAMED.fullmatch(headers.get(HEADER, ""))
    if named is None:
        return part
    start, end = (min(part.start + int(each), part.end) for each in named.groups())
    return ByteRange(start, max(start, end))


def is_first(headers: Headers) -> bool:
    """Whether a request is not the proxy's own for one more piece of an answer."""
    return headers.get(HEADER, "0-").startswith("0-")


class Pieces:
    """Has the application behind a server send its files in pieces.

    An answer that breaks off between two pieces is left incomplete, by which its client
    sees that it is cut.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer, most_bytes = _Answer(receive, send), FIRST_BYTES // 2
        name = HEADER.encode()
        headers = [each for each in scope["headers"] if each[0].lower() != name]
        while answer.goes_on:
            start, most_bytes = answer.sent_bytes, min(most_bytes * 2, MOST_BYTES)
            piece = f"{start}-{start + most_bytes}".encode()
            asking = {**scope, "headers": [*headers, (name, piece)]}
            await self._app(asking, answer.receiving(), answer.next_piece())


def middleware() -> Middleware:
    """Return it as a server that takes Starlette's middleware wants it."""
    return Middleware(Pieces)


class _Answer:
    """An answer that is put together of the answers for its pieces."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self.sent_bytes = 0
        self.goes_on = True
        self._receive = receive
        self._send = send
        self._status: int | None = None
        self._total_bytes: int | None = None
        self._has_left = False

    def receiving(self) -> Receive:
        """Return what gives the request's body, which only the first piece has."""
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
        """Return what takes the messages of the next piece."""
        is_first = self._status is None
        self.goes_on = False  # Unless this one brings something, and is not the last.

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
            raise ConnectionError("the file is gone before all of it was sent")

    async def _pass_on(self, data: bytes) -> None:
        self.sent_bytes += len(data)
        is_more = self.sent_bytes < (self._total_bytes or 0)
        self.goes_on = is_more and not self._has_left
        await self._send(
            {"type": "http.response.body", "body": data, "more_body": is_more}
        )
