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
_LONGEST_DELAY_SECONDS = 0.5


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
        self.is_draining = False
        self._most_seconds = most_seconds
        self._jitter = jitter
        self._loop: asyncio.AbstractEventLoop | None = None
        self._limits: set[asyncio.Timeout] = set()

    def drain(self) -> None:
        """End all streams, and each that begins from now on. Thread-safe."""
        self.is_draining = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._end_all)

    def begin(self, *, ages: bool = True) -> "Stream":
        """Return the lifetime of a stream; one that does not age ends by drain only."""
        seconds = self._most_seconds * (1 - _JITTER * self._jitter()) if ages else inf
        return Stream(self, monotonic() + seconds)

    def delay_seconds(self) -> float:
        """Return a random delay after which a client shall come back."""
        return _LONGEST_DELAY_SECONDS * self._jitter()

    @asynccontextmanager
    async def limit(self, seconds: float) -> AsyncIterator[None]:
        """Raise TimeoutError in the block after `seconds`, or when draining begins."""
        # Known before `is_draining` is read, so that `drain` misses no block.
        self._loop = asyncio.get_running_loop()
        async with asyncio.timeout(None if seconds == inf else seconds) as limit:
            self._limits.add(limit)
            if self.is_draining:
                limit.reschedule(self._loop.time())
            try:
                yield
            finally:
                self._limits.discard(limit)

    def _end_all(self) -> None:
        now = asyncio.get_running_loop().time()
        for limit in self._limits:
            if not limit.expired():
                limit.reschedule(now)


class Stream:
    """How long one response may last: to `ends_at`, a time of `monotonic`."""

    def __init__(self, streams: Streams, ends_at: float) -> None:
        self._streams = streams
        self._ends_at = ends_at

    @property
    def is_over(self) -> bool:
        """Whether the response must end now."""
        return self._streams.is_draining or monotonic() >= self._ends_at

    @asynccontextmanager
    async def limit(self, seconds: float = inf) -> AsyncIterator[None]:
        """Raise TimeoutError in the block when this is over, or after `seconds`."""
        left = max(0.0, self._ends_at - monotonic())
        async with self._streams.limit(min(seconds, left)):
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
