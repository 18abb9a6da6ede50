"""Limits of requests with a body: their number, their length and their speed."""

import asyncio
from dataclasses import dataclass
from math import inf
from time import monotonic

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api import problems
from serve_app.api.door import client_of
from serve_app.api.limits import Limit
from serve_app.api.route_rules import MAX_PLAIN_BYTES, RouteRules
from serve_app.errors import AppError, BodyTooSlow, UploadTooLarge


@dataclass(frozen=True)
class Pace:
    """The lowest speed of a body: `size_bytes` in every `seconds`.

    The defaults are those of Apache's mod_reqtimeout: 500 bytes/s over 20 s. A poor
    connection of 20 kB/s may stall for 19 s.
    """

    seconds: float = 20.0
    size_bytes: int = 10_000
    # When all places are taken, a body that is on average slower than this after
    # `seconds` may be aborted for a new one. 64 kB/s is half of a 1 Mbit/s line.
    busy_bytes_per_second: float = 64_000.0


class Bodies:
    """Count requests with a body against `limit`, and abort those that are too slow.

    When all places are taken, the slowest slow body is aborted for a new one. A body
    that is not a form is kept in memory, so it may be at most as long as the rule of
    its route says. A request counts from its headers to its response. When no place is
    free, the refusal is sent before the body is read.
    """

    def __init__(
        self,
        app: ASGIApp,
        rules: RouteRules,
        limit: Limit,
        pace: Pace = Pace(),
    ) -> None:
        self._app = app
        self._rules = rules
        self._limit = limit
        self._pace = pace
        self._arriving: set[_CheckedBody] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_body(scope):
            await self._app(scope, receive, send)
            return
        client = client_of(scope)
        try:
            with self._limit.held(client.name, self._abort_slowest):
                await self._run_checked(scope, receive, send)
        except AppError as error:
            response = await problems.on_app_error(Request(scope), error)
            await response(scope, receive, send)

    def _abort_slowest(self) -> bool:
        """Abort the slowest body that may be aborted; return whether there was one."""
        slow = [body for body in self._arriving if body.is_abortable]
        if not slow:
            return False
        min(slow, key=_CheckedBody.bytes_per_second).abort()
        return True

    async def _run_checked(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application; raise the body's error unless a response has started.

        The application sees a client that disconnected.
        """
        rule = self._rules.of(scope)
        plain_bytes = MAX_PLAIN_BYTES if rule is None else rule.max_body_bytes
        most_bytes = inf if _is_form(scope) else plain_bytes
        body, has_started = _CheckedBody(receive, self._pace, most_bytes), False

        async def send_unless_wrong(message: Message) -> None:
            nonlocal has_started
            if has_started or body.error is None:
                has_started = True
                await send(message)

        self._arriving.add(body)
        try:
            await self._app(scope, body.receive, send_unless_wrong)
        except ClientDisconnect:
            # Raised by what read the body; its client may be there.
            if body.error is None:
                raise
        finally:
            self._arriving.remove(body)
        if body.error is not None and not has_started:
            raise body.error


class _CheckedBody:
    """A body with a lowest speed and a largest length; `error` is set when it fails."""

    def __init__(self, receive: Receive, pace: Pace, most_bytes: float = inf) -> None:
        self.error: AppError | None = None
        self._receive = receive
        self._pace = pace
        self._most_bytes = self._left_bytes = most_bytes
        self._is_complete = False
        # Only time spent waiting for the client counts. Reset after `size_bytes`.
        self._waited_seconds = 0.0
        self._received_bytes = 0
        # Totals of the whole body.
        self._all_seconds = 0.0
        self._all_bytes = 0
        # The current wait for the client.
        self._wait: asyncio.Timeout | None = None
        self._wait_began = 0.0
        self._is_aborted = False

    @property
    def is_abortable(self) -> bool:
        """Whether the server waits for it, and it is slow enough to be aborted."""
        return (
            self._wait is not None
            and not self._is_aborted
            and self._seconds() >= self._pace.seconds
            and self.bytes_per_second() < self._pace.busy_bytes_per_second
        )

    def bytes_per_second(self) -> float:
        """Return the average speed so far."""
        return self._all_bytes / max(self._seconds(), 1e-9)

    def abort(self) -> None:
        """Abort it as too slow."""
        if self._wait is not None and not self._wait.expired():
            self._is_aborted = True
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
            self.error = BodyTooSlow(self._detail())
        else:
            if self._is_aborted and message.get("more_body", False):
                # A message arrived just as the body was aborted.
                self.error = BodyTooSlow(self._detail())
            self._left_bytes -= len(message.get("body", b""))
            if self._left_bytes < 0:
                self.error = UploadTooLarge(self._too_large())
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

    def _too_large(self) -> str:
        if self._most_bytes > MAX_PLAIN_BYTES:
            return f"The body must be at most {self._most_bytes} bytes. Send less."
        return (
            f"A body that is not multipart/form-data must be at most "
            f"{self._most_bytes} bytes. Send a song as a form: curl -F file=@song.mp3."
        )

    def _detail(self) -> str:
        if self._is_aborted:
            return (
                "The server has reached its limit of uploads, and this one was the "
                f"slowest, at {self.bytes_per_second():.0f} bytes/s. "
                "Send it again later."
            )
        return (
            f"The body arrived slower than {self._pace.size_bytes} bytes in "
            f"{self._pace.seconds:g} s. Send it again over a faster connection."
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
