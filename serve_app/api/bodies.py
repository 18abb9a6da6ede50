"""Requests that have a body: how many at once, how slow and how long it may be."""

import asyncio
from dataclasses import dataclass
from math import inf
from time import monotonic

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api import clients, problems
from serve_app.api.limits import Limit
from serve_app.api.multipart import MAX_FIELDS_BYTES
from serve_app.errors import AppError, BodyTooSlow, UploadTooLarge


@dataclass(frozen=True)
class Pace:
    """The slowest that a body may come: so many bytes in so many seconds.

    500 bytes/s over 20 s are the defaults of Apache's mod_reqtimeout. A bad line of
    20 kB/s may stand still for 19 s.
    """

    seconds: float = 20.0
    size_bytes: int = 10_000
    # On average, from `seconds` on: whoever is slower gives way when all places are
    # taken. 64 kB/s is half of a line of 1 Mbit/s.
    busy_bytes_per_second: float = 64_000.0


class Bodies:
    """Counts requests with a body against `limit`, and ends those that come too slowly.

    When all places are taken, the slowest of the slow ones is ended for a new one.
    Those are ended as well that are no form and longer than one without a file may be,
    which would be kept in memory. A request is counted from its headers to its answer.
    Refusals for want of a place are sent before the body is read.
    """

    def __init__(
        self,
        app: ASGIApp,
        limit: Limit,
        tenant_header: str = "",
        pace: Pace = Pace(),
    ) -> None:
        self._app = app
        self._limit = limit
        self._tenant_header = tenant_header
        self._pace = pace
        self._coming: set[_CheckedBody] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_body(scope):
            await self._app(scope, receive, send)
            return
        client = clients.of(scope, self._tenant_header)
        try:
            with self._limit.held(client.name, self._end_slowest):
                await self._paced(scope, receive, send)
        except AppError as error:
            answer = await problems.on_app_error(Request(scope), error)
            await answer(scope, receive, send)

    def _end_slowest(self) -> bool:
        """End the body that has come slowest, if one may be ended for another."""
        slow = [body for body in self._coming if body.gives_way]
        if not slow:
            return False
        min(slow, key=_CheckedBody.bytes_per_second).give_way()
        return True

    async def _paced(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application; raises what is wrong with the body if it has no answer.

        To the application the client of such a body has gone.
        """
        most_bytes = inf if _is_form(scope) else MAX_FIELDS_BYTES
        body, has_started = _CheckedBody(receive, self._pace, most_bytes), False

        async def send_unless_wrong(message: Message) -> None:
            nonlocal has_started
            if has_started or body.error is None:
                has_started = True
                await send(message)

        self._coming.add(body)
        try:
            await self._app(scope, body.receive, send_unless_wrong)
        finally:
            self._coming.remove(body)
        if body.error is not None and not has_started:
            raise body.error


class _CheckedBody:
    """A body that must keep a pace and a length, or the client counts as gone."""

    def __init__(self, receive: Receive, pace: Pace, most_bytes: float = inf) -> None:
        self.error: AppError | None = None
        self._receive = receive
        self._pace = pace
        self._left_bytes = most_bytes
        self._is_complete = False
        # Of the server's own work, between two messages, nothing is counted.
        self._waited_seconds = 0.0
        self._received_bytes = 0
        # The same of all of the body.
        self._all_seconds = 0.0
        self._all_bytes = 0
        # What is waited for now.
        self._wait: asyncio.Timeout | None = None
        self._wait_began = 0.0
        self._has_given_way = False

    @property
    def gives_way(self) -> bool:
        """Whether it is waited for, and slow enough to be ended for another one."""
        return (
            self._wait is not None
            and not self._has_given_way
            and self._seconds() >= self._pace.seconds
            and self.bytes_per_second() < self._pace.busy_bytes_per_second
        )

    def bytes_per_second(self) -> float:
        """Return the pace at which all of it has come until now."""
        return self._all_bytes / max(self._seconds(), 1e-9)

    def give_way(self) -> None:
        """End it, as one that comes too slowly."""
        if self._wait is not None and not self._wait.expired():
            self._has_given_way = True
            self._wait.reschedule(0)

    def _seconds(self) -> float:
        waits = monotonic() - self._wait_began if self._wait is not None else 0.0
        return self._all_seconds + waits

    async def receive(self) -> Message:
        """Return the next message; `http.disconnect` once there is an `error`."""
        if self._is_complete:
            return await self._receive()
        self._wait_began = monotonic()
        left = self._pace.seconds - self._waited_seconds
        try:
            async with asyncio.timeout(left) as self._wait:
                message = await self._receive()
        except TimeoutError:
            self.error = BodyTooSlow(self._said())
        else:
            if self._has_given_way and message.get("more_body", False):
                # More came just when it was ended.
                self.error = BodyTooSlow(self._said())
            self._left_bytes -= len(message.get("body", b""))
            if self._left_bytes < 0:
                self.error = UploadTooLarge(
                    f"The body is longer than {MAX_FIELDS_BYTES} bytes and no form. "
                    "Send a song as a form: curl -F file=@song.mp3."
                )
        finally:
            self._wait = None
        if self.error is not None:
            return {"type": "http.disconnect"}
        waited, size_bytes = (
            monotonic() - self._wait_began,
            len(message.get("body", b"")),
        )
        self._waited_seconds += waited
        self._all_seconds += waited
        self._received_bytes += size_bytes
        self._all_bytes += size_bytes
        if self._received_bytes >= self._pace.size_bytes:
            self._waited_seconds, self._received_bytes = 0.0, 0
        self._is_complete = not message.get("more_body", False)
        return message

    def _said(self) -> str:
        if self._has_given_way:
            return (
                "The server has as many uploads as it takes, and this one came "
                f"slowest, at {self.bytes_per_second():.0f} bytes/s. "
                "Send it again later."
            )
        return (
            f"The body came slower than {self._pace.size_bytes} bytes in "
            f"{self._pace.seconds:g} s. Send it again over a better connection."
        )


def _is_form(scope: Scope) -> bool:
    kind = Headers(scope=scope).get("content-type", "")
    return kind.lower().lstrip().startswith("multipart/")


def _has_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return (
        "transfer-encoding" in headers
        or headers.get("content-length", "0").strip("0 ") != ""
    )
