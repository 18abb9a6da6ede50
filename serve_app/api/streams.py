"""Long responses, and when they end so that their clients come back."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from math import inf
from time import monotonic

from starlette.responses import StreamingResponse
from starlette.types import Send

# Streams that began together, as after a restart, must not all end together.
_JITTER = 0.2
# A client that comes back may wait this long.
_LONGEST_DELAY_SECONDS = 0.2
# The streams of a replica that stops end one after the other over this time: the others
# would answer their clients more slowly if all came back together.
_LEAVING_SECONDS = 15.0
# Of the age at which streams end anyway, before they are cut off.
_LEAVING_SHARE = 0.25


class Streams:
    """Ends the long responses of this process, at an age or when it must stop.

    A replica that stops waits for its requests, but not for longer than its
    `graceful_shutdown_timeout_s`; a proxy that was reloaded closes old connections
    after a while. Streams therefore end at an age of `most_seconds`, less up to a
    fifth, before anything cuts them off. `jitter` returns 0 to 1. For one event loop.
    """

    def __init__(
        self, most_seconds: float = inf, jitter: Callable[[], float] = random.random
    ) -> None:
        self._draining_since = inf
        self._most_seconds = most_seconds
        self._leaving_seconds = min(_LEAVING_SECONDS, _LEAVING_SHARE * most_seconds)
        self._jitter = jitter
        self._loop: asyncio.AbstractEventLoop | None = None
        # With the time that each lasts after draining has begun.
        self._limits: dict[asyncio.Timeout, float] = {}

    def drain(self) -> None:
        """End all streams within seconds, and those that begin now. Thread-safe."""
        self._draining_since = monotonic()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._end_all)

    def begin(self, *, ages: bool = True) -> "Stream":
        """Return the lifetime of a stream; one that does not age ends by drain only."""
        seconds = self._most_seconds * (1 - _JITTER * self._jitter()) if ages else inf
        is_late = self._draining_since < inf
        leaving = 0.0 if is_late else self._leaving_seconds * self._jitter()
        return Stream(self, monotonic() + seconds, leaving)

    def leaves_at(self, leaving_seconds: float) -> float:
        """Return when a stream ends that lasts so long after draining has begun."""
        return self._draining_since + leaving_seconds

    def delay_seconds(self) -> float:
        """Return a random delay after which a client shall come back."""
        return _LONGEST_DELAY_SECONDS * self._jitter()

    @asynccontextmanager
    async def limit(
        self, seconds: float, leaving_seconds: float = 0.0
    ) -> AsyncIterator[None]:
        """Raise TimeoutError in the block after `seconds`, or soon after a drain."""
        # Known before the drain is looked for, so that `drain` misses no block.
        self._loop = asyncio.get_running_loop()
        async with asyncio.timeout(None if seconds == inf else seconds) as limit:
            self._limits[limit] = leaving_seconds
            self._end(limit)
            try:
                yield
            finally:
                del self._limits[limit]

    def _end_all(self) -> None:
        for limit in self._limits:
            self._end(limit)

    def _end(self, limit: asyncio.Timeout) -> None:
        """Let a block end in time if this process is draining."""
        left = max(0.0, self.leaves_at(self._limits[limit]) - monotonic())
        if left == inf or limit.expired():
            return
        ends_at = asyncio.get_running_loop().time() + left
        before = limit.when()
        if before is None or ends_at < before:
            limit.reschedule(ends_at)


class Stream:
    """How long one response may last: to `ends_at`, a time of `monotonic`.

    After a drain it lasts for `leaving_seconds` at most.
    """

    def __init__(
        self, streams: Streams, ends_at: float, leaving_seconds: float
    ) -> None:
        self._streams = streams
        self._ends_at = ends_at
        self._leaving_seconds = leaving_seconds

    @property
    def is_over(self) -> bool:
        """Whether the response must end now."""
        leaves_at = self._streams.leaves_at(self._leaving_seconds)
        return monotonic() >= min(self._ends_at, leaves_at)

    @asynccontextmanager
    async def limit(self, seconds: float = inf) -> AsyncIterator[None]:
        """Raise TimeoutError in the block when this is over, or after `seconds`."""
        left = max(0.0, self._ends_at - monotonic())
        async with self._streams.limit(min(seconds, left), self._leaving_seconds):
            yield


class WholeOrAborted(StreamingResponse):
    """A streamed body of `size_bytes`, aborted if its content ends before.

    The last message is then missing, so the server closes the connection: no client
    takes a part for the whole.
    """

    def __init__(
        self,
        content: AsyncGenerator[bytes],
        size_bytes: int,
        status_code: int,
        headers: Mapping[str, str],
        media_type: str,
    ) -> None:
        length = {"Content-Length": str(size_bytes)}
        super().__init__(content, status_code, {**headers, **length}, media_type)
        self._content = content
        self._left_bytes = size_bytes

    async def stream_response(self, send: Send) -> None:
        """Send the body; stop after its last byte."""
        start = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        async with aclosing(self._content) as chunks:
            async for chunk in chunks:
                sent = chunk[: self._left_bytes]
                self._left_bytes -= len(sent)
                is_more = self._left_bytes > 0
                body = {"body": sent, "more_body": is_more}
                await send({"type": "http.response.body", **body})
                if not is_more:
                    return
