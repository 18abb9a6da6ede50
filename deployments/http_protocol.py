"""HTTP as Serve's proxies speak it, with the limits that uvicorn lacks."""

from asyncio import AbstractEventLoop, TimerHandle, Transport
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from uvicorn.protocols.http import auto
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

# What Apache's mod_reqtimeout gives by default.
HEADERS_SECONDS = 20.0
# What uvicorn takes where h11 reads for it. Trailers, and what stands between the
# data of two chunks, count as headers do.
MAX_HEADERS_BYTES = 64 * 1024
# The parser takes all that it is given: whatever may hold many headers or chunks, or
# the beginning of a next request, is given to it in slices.
_HEADERS_SLICE_BYTES = 4096
_CHUNKED_SLICE_BYTES = 1024
# What is read of a connection in one go, in calls of the parser and of its callbacks: a
# millisecond or so. A read of a chunked body, 256 kB, is a quarter of that, unless its
# chunks are tiny.
MOST_STEPS = 1000
# From one connection's turn to the next one's.
TURN_SECONDS = 0.002
_END = b"\r\n\r\n"
_LENGTH = b"content-length"
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

    While a request waits for its answer, the next one is not read, but left to the
    kernel. What takes long to read, such as tiny chunks, is read in turns, in which
    the connections of a server follow each other.
    """

    _is_in_headers = True
    _is_in_body = False
    # What is left of a body that has a Content-Length.
    _body_left_bytes = 0
    # Whether the last slice ended headers or a request, or had some of a body.
    _has_come_on = False
    _headers_bytes = 0
    _steps = 0
    # What has come and was not read yet.
    _rest = b""
    _timer: TimerHandle | None = None
    _unread_timer: TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for headers."""
        super().connection_made(transport)
        self.flow = self._flow = _Flow(transport)
        self._turns = _Turns.of(self.server_state, self.loop)
        self._close_in(HEADERS_SECONDS)

    def data_received(self, data: bytes) -> None:
        """Take what has come, as far as it is its turn."""
        self._rest += data
        if not self._flow.is_held:
            self.read_on()

    def read_on(self) -> None:
        """Read what has come, up to a request that waits, or as much as a turn may."""
        data, start, self._steps = self._rest, 0, 0
        while (
            start < len(data)
            and self._steps < MOST_STEPS
            and not self._has_waiting_request()
            and self._is_ours()
        ):
            end = self._end_of_slice(data, start)
            self._read(data[start:end])
            start = end
        self._rest = data[start:]
        if not self._is_ours():
            self._rest = b""
        elif self._has_waiting_request():
            # What still comes wakes this up, also that the client has gone.
            self._flow.hold(bool(self._rest))
        else:
            self._flow.hold(bool(self._rest) or self._steps >= MOST_STEPS)
            if self._flow.is_held:
                self._turns.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave nothing that still waits."""
        self._rest = b""
        self._stop_timer()
        self._stop_unread_timer()
        super().connection_lost(exc)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, but no trailer: nobody has checked those."""
        self._steps += 1
        if not self._is_in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin with the body."""
        self._stop_timer()
        self._is_in_headers, self._is_in_body = False, True
        self._headers_bytes, self._has_come_on = 0, True
        lengths = [int(value) for name, value in self.headers if name == _LENGTH]
        self._body_left_bytes = sum(lengths)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take some of the body."""
        self._steps += 1
        self._body_left_bytes = max(0, self._body_left_bytes - len(body))
        self._headers_bytes, self._has_come_on = 0, True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Begin with the next request."""
        self._stop_timer()
        self._is_in_headers, self._is_in_body = True, False
        self._headers_bytes, self._has_come_on = 0, True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Bound what still comes of a request that was answered early."""
        super().on_response_complete()
        if self._is_in_body and not self.transport.is_closing():
            self._close_in(REST_OF_BODY_SECONDS)
        if self._flow.is_held and self._is_ours():
            self._turns.add(self)

    def pause_writing(self) -> None:
        """Wait for the client to take more of its answer."""
        super().pause_writing()
        self._stop_unread_timer()
        self._unread_timer = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: the client has taken some."""
        self._stop_unread_timer()
        super().resume_writing()

    def _is_ours(self) -> bool:
        """Whether the connection is open, and no WebSocket."""
        transport = self.transport
        return not transport.is_closing() and transport.get_protocol() is self

    def _has_waiting_request(self) -> bool:
        """Whether all of a request has come, and it is not answered yet."""
        is_answered = self.cycle is None or self.cycle.response_complete
        return bool(self.pipeline) or not (is_answered or self._is_in_body)

    def _end_of_slice(self, data: bytes, start: int) -> int:
        """Return how far to read: at most to the end of headers, or of a body.

        Only a chunked body may end within a slice.
        """
        if self._is_in_body:
            return start + (self._body_left_bytes or _CHUNKED_SLICE_BYTES)
        most = start + _HEADERS_SLICE_BYTES
        end = data.find(_END, start, most)
        return most if end < 0 else end + len(_END)

    def _read(self, data: bytes) -> None:
        """Have the parser read a slice."""
        self._steps += 1
        self._has_come_on = False
        super().data_received(data)
        if self._has_come_on or not self._is_ours():
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
            # Some clients send an empty line after a body: its answer is not cut.
            self._close_in(HEADERS_SECONDS)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Flow(FlowControl):
    """Reads on while neither the application nor the protocol has it wait."""

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport)
        self.is_held = False

    def hold(self, is_held: bool) -> None:
        """Have it wait, or not, whatever the application wants."""
        self._set(self.read_paused, is_held)

    def pause_reading(self) -> None:
        """Wait until the application wants more."""
        self._set(True, self.is_held)

    def resume_reading(self) -> None:
        """Go on as far as the application is concerned."""
        self._set(False, self.is_held)

    def _set(self, read_paused: bool, is_held: bool) -> None:
        was_reading = not (self.read_paused or self.is_held)
        self.read_paused, self.is_held = read_paused, is_held
        if was_reading and (read_paused or is_held):
            self._transport.pause_reading()
        elif not was_reading and not (read_paused or is_held):
            self._transport.resume_reading()


class _Turns:
    """The connections of a server that have more to be read, in the order of turns.

    Only one of them is read in each turn of the loop, with a pause between: however
    many they are, others are read and answered meanwhile.
    """

    _all: ClassVar[WeakKeyDictionary[ServerState, "_Turns"]] = WeakKeyDictionary()

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        # A set that keeps its order.
        self._waiting: dict[BoundedHttp, None] = {}
        self._is_asleep = True

    @classmethod
    def of(cls, server: ServerState, loop: AbstractEventLoop) -> "_Turns":
        """Return those of a server."""
        return cls._all.setdefault(server, cls(loop))

    def add(self, connection: BoundedHttp) -> None:
        """Have a connection read on when its turn comes."""
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
