"""HTTP as Serve's proxies speak it, with the limits that uvicorn lacks."""

from asyncio import TimerHandle
from typing import Any

from uvicorn.protocols.http import auto
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# What Apache's mod_reqtimeout gives by default.
HEADERS_SECONDS = 20.0
# What uvicorn takes where h11 reads for it.
MAX_HEADERS_BYTES = 64 * 1024
# The `send_timeout` of nginx: so long a client may take nothing of an answer.
UNREAD_SECONDS = 60.0
# The `lingering_time` of nginx: cut at once, many clients would not see the answer.
REST_OF_BODY_SECONDS = 30.0


def install() -> None:
    """Have the servers that uvicorn starts in this process speak it.

    Serve makes them itself and has no option for their protocol.
    """
    auto.AutoHTTPProtocol = BoundedHttp


class BoundedHttp(HttpToolsProtocol):
    """Closes connections whose headers are late or long, or whose body is not wanted.

    Headers must be complete within `HEADERS_SECONDS` of the connection, or of their
    first byte on one that was used before. A body that goes on after the answer is
    read to nowhere for `REST_OF_BODY_SECONDS`. A client that takes nothing of its
    answer for `UNREAD_SECONDS` has gone.
    """

    _is_in_headers = True
    _is_in_body = False
    _has_ended_here = False
    _headers_bytes = 0
    _timer: TimerHandle | None = None
    _unread_timer: TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for headers."""
        super().connection_made(transport)
        self._close_in(HEADERS_SECONDS)

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        self._has_ended_here = False
        super().data_received(data)
        if not self._is_in_headers or self.transport.is_closing():
            return
        # What came with the end of the request before may be mostly that.
        self._headers_bytes += 0 if self._has_ended_here else len(data)
        if self._headers_bytes > MAX_HEADERS_BYTES:
            self.send_400_response(
                f"The headers are longer than {MAX_HEADERS_BYTES} bytes."
            )
        elif self._timer is None and not self._has_ended_here:
            self._close_in(HEADERS_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave nothing that still waits."""
        self._stop_timer()
        self._stop_unread_timer()
        super().connection_lost(exc)

    def on_headers_complete(self) -> None:
        """Begin with the body."""
        self._stop_timer()
        self._is_in_headers, self._is_in_body, self._headers_bytes = False, True, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Begin with the next request."""
        self._stop_timer()
        self._is_in_headers, self._is_in_body = True, False
        self._has_ended_here = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Bound what still comes of a request that was answered early."""
        super().on_response_complete()
        if self._is_in_body and not self.transport.is_closing():
            self._close_in(REST_OF_BODY_SECONDS)

    def pause_writing(self) -> None:
        """Wait for the client to take more of its answer."""
        super().pause_writing()
        self._stop_unread_timer()
        self._unread_timer = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: the client has taken some."""
        self._stop_unread_timer()
        super().resume_writing()

    def _stop_unread_timer(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def _close_in(self, seconds: float) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, self._close)

    def _close(self) -> None:
        self._timer = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
        else:
            # Some clients send an empty line after a body: its answer is not cut.
            self._close_in(HEADERS_SECONDS)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
