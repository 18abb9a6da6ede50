"""The HTTP protocol of Serve's proxies, with timeouts and limits that uvicorn lacks."""

from asyncio import AbstractEventLoop, TimerHandle, Transport
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from uvicorn.protocols.http import auto
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

# The default of Apache's mod_reqtimeout.
HEADERS_SECONDS = 20.0
# uvicorn's limit with h11. Trailers, and the bytes between the data of two chunks,
# count towards it too.
MAX_HEADERS_BYTES = 64 * 1024
# The parser consumes all that it gets, so data that may hold many headers or chunks, or
# the start of the next request, is passed to it in slices.
_HEADERS_SLICE_BYTES = 4096
_CHUNKED_SLICE_BYTES = 1024
# The limit of one turn of a connection, in calls of the parser and of its callbacks:
# about a millisecond. A read of a chunked body, 256 kB, takes a quarter of it, unless
# its chunks are tiny.
MAX_STEPS = 1000
# The delay between the turns of two connections.
TURN_SECONDS = 0.002
_END = b"\r\n\r\n"
_LENGTH = b"content-length"
# The `send_timeout` of nginx: how long a client may read nothing of a response.
UNREAD_SECONDS = 60.0
# The `lingering_time` of nginx: many clients lose the response if the connection is
# closed while they still send.
REST_OF_BODY_SECONDS = 30.0


def install() -> None:
    """Make `BoundedHttp` the protocol of all uvicorn servers in this process.

    Serve starts the servers itself and has no option for their protocol.
    """
    auto.AutoHTTPProtocol = BoundedHttp


class BoundedHttp(HttpToolsProtocol):
    """Closes connections whose headers are late or too long, and stalled connections.

    Headers must be complete within `HEADERS_SECONDS` after the connection is made, or,
    on a reused connection, after their first byte. A body that continues after the
    response is read and discarded for `REST_OF_BODY_SECONDS`. A client that reads
    nothing of its response for `UNREAD_SECONDS` is disconnected.

    While a request waits for its response, the next one is not read but stays in the
    socket's buffer. Data that takes long to parse, such as tiny chunks, is read in
    turns, which rotate among the connections of a server.
    """

    _is_in_headers = True
    _is_in_body = False
    # The bytes left of a body with a Content-Length.
    _body_left_bytes = 0
    # Whether the last slice ended the headers or a request, or had some body data.
    _has_advanced = False
    _headers_bytes = 0
    _steps = 0
    # Received and not parsed yet.
    _rest = b""
    _timer: TimerHandle | None = None
    _unread_timer: TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start the timeout of the headers."""
        super().connection_made(transport)
        self.flow = self._flow = _Flow(transport)
        self._turns = _Turns.of(self.server_state, self.loop)
        self._close_in(HEADERS_SECONDS)

    def data_received(self, data: bytes) -> None:
        """Buffer received data, and parse it if this connection is not on hold."""
        self._rest += data
        if not self._flow.is_held:
            self.read_on()

    def read_on(self) -> None:
        """Parse buffered data, to the end of a request or of this connection's turn."""
        data, start, self._steps = self._rest, 0, 0
        while (
            start < len(data)
            and self._steps < MAX_STEPS
            and not self._has_waiting_request()
            and self._is_open_http()
        ):
            end = self._end_of_slice(data, start)
            self._read(data[start:end])
            start = end
        self._rest = data[start:]
        if not self._is_open_http():
            self._rest = b""
        elif self._has_waiting_request():
            # With nothing buffered, reading continues, to notice a disconnect.
            self._flow.hold(bool(self._rest))
        else:
            self._flow.hold(bool(self._rest) or self._steps >= MAX_STEPS)
            if self._flow.is_held:
                self._turns.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop buffered data and stop the timers."""
        self._rest = b""
        self._stop_timer()
        self._stop_unread_timer()
        super().connection_lost(exc)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Accept a header; ignore trailers, because nothing has validated them."""
        self._steps += 1
        if not self._is_in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Stop the timeout of the headers; the body follows."""
        self._stop_timer()
        self._is_in_headers, self._is_in_body = False, True
        self._headers_bytes, self._has_advanced = 0, True
        lengths = [int(value) for name, value in self.headers if name == _LENGTH]
        self._body_left_bytes = sum(lengths)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Accept some body data."""
        self._steps += 1
        self._body_left_bytes = max(0, self._body_left_bytes - len(body))
        self._headers_bytes, self._has_advanced = 0, True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Expect the next request."""
        self._stop_timer()
        self._is_in_headers, self._is_in_body = True, False
        self._headers_bytes, self._has_advanced = 0, True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Limit the time for the rest of a body that was responded to early."""
        super().on_response_complete()
        if self._is_in_body and not self.transport.is_closing():
            self._close_in(REST_OF_BODY_SECONDS)
        if self._flow.is_held and self._is_open_http():
            self._turns.add(self)

    def pause_writing(self) -> None:
        """Start the timeout for a client that reads nothing of its response."""
        super().pause_writing()
        self._stop_unread_timer()
        self._unread_timer = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop that timeout: the client has read some."""
        self._stop_unread_timer()
        super().resume_writing()

    def _is_open_http(self) -> bool:
        """Whether the connection is open, and not upgraded to a WebSocket."""
        transport = self.transport
        return not transport.is_closing() and transport.get_protocol() is self

    def _has_waiting_request(self) -> bool:
        """Whether a complete request waits for its response."""
        is_answered = self.cycle is None or self.cycle.response_complete
        return bool(self.pipeline) or not (is_answered or self._is_in_body)

    def _end_of_slice(self, data: bytes, start: int) -> int:
        """Return the end of the next slice: at most the end of the headers or the body.

        Only a chunked body may end within a slice.
        """
        if self._is_in_body:
            return start + (self._body_left_bytes or _CHUNKED_SLICE_BYTES)
        most = start + _HEADERS_SLICE_BYTES
        end = data.find(_END, start, most)
        return most if end < 0 else end + len(_END)

    def _read(self, data: bytes) -> None:
        """Pass a slice to the parser."""
        self._steps += 1
        self._has_advanced = False
        super().data_received(data)
        if self._has_advanced or not self._is_open_http():
            return
        self._headers_bytes += len(data)
        if self._headers_bytes > MAX_HEADERS_BYTES:
            self._refuse_long_headers()
        elif self._timer is None and self._is_in_headers:
            self._close_in(HEADERS_SECONDS)

    def _refuse_long_headers(self) -> None:
        if self._is_in_headers or not self.cycle.response_started:
            self.send_400_response(
                f"The headers are longer than {MAX_HEADERS_BYTES} bytes."
            )
        else:
            self.transport.close()

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
            # Some clients send an empty line after a body: don't cut its response.
            self._close_in(HEADERS_SECONDS)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Flow(FlowControl):
    """Reads from the socket unless the application or the protocol has paused it."""

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport)
        self.is_held = False

    def hold(self, is_held: bool) -> None:
        """Pause or resume reading for the protocol."""
        self._set(self.read_paused, is_held)

    def pause_reading(self) -> None:
        """Pause reading for the application."""
        self._set(True, self.is_held)

    def resume_reading(self) -> None:
        """Resume reading for the application."""
        self._set(False, self.is_held)

    def _set(self, read_paused: bool, is_held: bool) -> None:
        was_reading = not (self.read_paused or self.is_held)
        self.read_paused, self.is_held = read_paused, is_held
        if was_reading and (read_paused or is_held):
            self._transport.pause_reading()
        elif not was_reading and not (read_paused or is_held):
            self._transport.resume_reading()


class _Turns:
    """The connections of a server that have buffered data, in the order of their turns.

    There is one turn at a time, with a pause in between, so that other connections are
    served meanwhile, however many wait here.
    """

    _all: ClassVar[WeakKeyDictionary[ServerState, "_Turns"]] = WeakKeyDictionary()

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        # An ordered set.
        self._waiting: dict[BoundedHttp, None] = {}
        self._is_asleep = True

    @classmethod
    def of(cls, server: ServerState, loop: AbstractEventLoop) -> "_Turns":
        """Return the turns of a server."""
        return cls._all.setdefault(server, cls(loop))

    def add(self, connection: BoundedHttp) -> None:
        """Queue a connection for a turn."""
        self._waiting[connection] = None
        self._wake()

    def _wake(self) -> None:
        if self._is_asleep and self._waiting:
            self._is_asleep = False
            self._loop.call_later(TURN_SECONDS, self._next)

    def _next(self) -> None:
        connection = next(iter(self._waiting))
        del self._waiting[connection]
        try:
            connection.read_on()
        finally:
            self._is_asleep = True
            self._wake()
