"""Bodies of responses that are read by threads, no faster than their clients read."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api.leaving import disconnected
from serve_app.errors import AppError

logger = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

# A client that takes nothing for so long has gone, or comes back with a range.
_STALLED_SECONDS = 600.0


class Reader:
    """Blocking work of one response: in threads of `pool`, one call after the other.

    All calls share a context, as `OutboundClient.get` needs. `stack` closes what they
    opened. If the response is cancelled while a call blocks, `is_wanted` turns False.
    For one event loop.
    """

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.stack = ExitStack()
        self._pool = pool
        self._is_wanted = True
        self._context = copy_context()
        self.chunks: Iterator[bytes] = iter(())

    def is_wanted(self) -> bool:
        """Whether the response is still to be sent; thread-safe."""
        return self._is_wanted

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do `work` in a thread; when cancelled, wait for its end before raising."""
        call = partial(self._context.run, work, *args, **kwargs)
        submitted = self._pool.submit(call)
        running = asyncio.wrap_future(submitted)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            if not submitted.cancel():
                self._is_wanted = False
            await asyncio.wait([running])
            if not running.cancelled():
                running.exception()  # Marks it as retrieved.
            raise

    async def open(self, opened: Callable[[], Iterator[bytes]]) -> bytes:
        """Begin to read chunks; return the first one, or nothing if there is none."""

        def first() -> bytes:
            self.chunks = opened()
            return next(self.chunks, b"")

        return await self.run(first)

    async def next(self) -> bytes:
        """Return the next chunk, or nothing at the end."""
        return await self.run(next, self.chunks, b"")

    def close(self) -> None:
        """Close what was opened. No call may be running."""
        if (close := getattr(self.chunks, "close", None)) is not None:
            self._context.run(close)
        self._context.run(self.stack.close)


class Body(Response):
    """A response with `first` and the further chunks of a reader, which it closes.

    The next chunk is read when the server has sent the last one, so that a client that
    is slow, or pauses, costs the memory of one.
    """

    def __init__(
        self, status: int, headers: Mapping[str, str], reader: Reader, first: bytes
    ) -> None:
        # Not `super().__init__`, which adds the length of a body that it is given.
        self.status_code = status
        self.background = None
        self.init_headers(headers)
        self._reader = reader
        self._first = first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response. If reading fails, the connection is closed early."""
        try:
            head: Message = {"type": "http.response.start", "status": self.status_code}
            await send({**head, "headers": self.raw_headers})
            if scope["method"] == "HEAD":
                await send({"type": "http.response.body", "body": b""})
            else:
                await self._send_all(send)
        except (AppError, OSError) as err:
            # The status was sent long ago. The client notices that bytes are missing.
            reason = f"{type(err).__name__}: {err}"
            logger.warning("stream interrupted path=%s error=%r", scope["path"], reason)
        finally:
            self._reader.close()

    async def _send_all(self, send: Send) -> None:
        chunk, sent_bytes = self._first, 0
        self._first = b""
        while chunk:
            sent_bytes += len(chunk)
            message = {"type": "http.response.body", "body": chunk, "more_body": True}
            async with asyncio.timeout(_STALLED_SECONDS):
                await send(message)
                # A server takes a chunk at once, and then waits before it takes more.
                del chunk, message
                await send({"type": "http.response.body", "more_body": True})
            chunk = await self._reader.next()
        expected = self.headers.get("content-length")
        if expected is not None and int(expected) != sent_bytes:
            raise OSError(f"{sent_bytes} bytes were read, {expected} expected")
        await send({"type": "http.response.body", "body": b""})


class UntilClientLeaves:
    """Cancels a request as soon as its client has gone, for requests without a body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        work = asyncio.ensure_future(self._app(scope, _no_body, send))
        leaving = asyncio.ensure_future(disconnected(receive))
        try:
            await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            work.cancel()
            leaving.cancel()
            await asyncio.wait({work, leaving})
        if not work.cancelled():
            work.result()


async def _no_body() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}
