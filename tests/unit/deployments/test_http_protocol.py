"""Connections with late or endless headers, or useless bodies, are closed."""

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from threading import Thread
from typing import ClassVar

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http import auto
from uvicorn.server import ServerState

from deployments import http_protocol
from deployments.http_protocol import BoundedHttp

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]

SOON = 0.3
# More than the buffers of a connection can hold.
LONG_BYTES = 50_000_000


# The paths of the requests that the application received, in order.
begun: list[str] = []


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond at once, after the body, or late."""
    begun.append(scope["path"])
    if scope["path"] == "/leave":
        while (await receive())["type"] != "http.disconnect":
            pass
        begun.append("left")
        return
    if scope["path"] == "/echo":
        body = await Request(scope, receive).body()
        names = b",".join(name for name, _ in scope["headers"])
        await PlainTextResponse(body + b"|" + names)(scope, receive, send)
        return
    if scope["path"] == "/read":
        await Request(scope, receive).body()
    if scope["path"] == "/late":
        await asyncio.sleep(4 * SOON)
    if scope["path"] == "/soon":
        await asyncio.sleep(0.1)
    body = "here" if scope["path"] != "/long" else "x" * LONG_BYTES
    await PlainTextResponse(body)(scope, receive, send)


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(auto, "AutoHTTPProtocol", auto.AutoHTTPProtocol)
    monkeypatch.setattr(http_protocol, "HEADERS_SECONDS", SOON)
    monkeypatch.setattr(http_protocol, "REST_OF_BODY_SECONDS", SOON)
    monkeypatch.setattr(http_protocol, "UNREAD_SECONDS", 3 * SOON)
    begun.clear()
    http_protocol.install()
    config = uvicorn.Config(app, ws="none", log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        assert config.http_protocol_class is BoundedHttp
        yield int(listening.getsockname()[1])
        server.should_exit = True
        thread.join()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def trickle(connection: socket.socket, size_bytes: int = 1) -> None:
    """Send that many bytes at a time, for up to 10 seconds."""
    for _ in range(int(10 / SOON * 10)):
        connection.sendall(b"x" * size_bytes)
        time.sleep(SOON / 10)


def closed_after(connection: socket.socket) -> float:
    """Return the seconds until the server closes the connection."""
    began = time.monotonic()
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return time.monotonic() - began


@pytest.mark.parametrize("beginning", [b"", b"GET / HTTP/1.1\r\nHost: x\r\nX: "])
def test_headers_that_do_not_come_are_not_waited_for(
    port: int, beginning: bytes
) -> None:
    with connect(port) as connection:
        connection.sendall(beginning)
        assert SOON / 2 < closed_after(connection) < 5


def test_headers_that_trickle_are_late_as_well(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        began = time.monotonic()
        with pytest.raises(ConnectionError):
            trickle(connection)
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("between", [b"", b"\r\n"], ids=["none", "empty line"])
def test_a_second_request_has_its_own_time(port: int, between: bytes) -> None:
    ask = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    with connect(port) as connection:
        for _ in range(3):
            connection.sendall(ask)
            assert b"200 OK" in connection.recv(65536)
            time.sleep(SOON * 0.7)
        connection.sendall(between + ask[:20])
        assert SOON / 2 < closed_after(connection) < 5


def test_a_connection_between_requests_is_kept(port: int) -> None:
    ask = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    with connect(port) as connection:
        connection.sendall(ask)
        assert b"200 OK" in connection.recv(65536)
        time.sleep(2 * SOON)
        connection.sendall(ask)
        assert b"200 OK" in connection.recv(65536)


def test_headers_without_end_are_refused(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "HEADERS_SECONDS", 60)
    with connect(port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX: ")
        with pytest.raises(ConnectionError):
            trickle(connection, 10_000)


def test_headers_as_long_as_any_in_use_are_taken(port: int) -> None:
    with connect(port) as connection:
        for _ in range(5):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 30_000)
            connection.sendall(b"\r\n\r\n")
            assert b"200 OK" in connection.recv(65536)


def test_a_body_is_no_header(port: int) -> None:
    with connect(port) as connection:
        for _ in range(2):
            connection.sendall(
                b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
            )
            for _ in range(10):
                connection.sendall(b"x" * 100_000)
                time.sleep(SOON / 8)
            assert b"200 OK" in connection.recv(65536)


def test_a_body_that_nobody_wants_is_read_for_a_while_only(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nx"
        )
        assert b"200 OK" in connection.recv(65536)
        began = time.monotonic()
        with pytest.raises(ConnectionError):
            trickle(connection)
        assert SOON / 2 < time.monotonic() - began < 5


def test_an_answer_is_waited_for_after_an_empty_line(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.05)
        connection.sendall(b"\r\n")
        assert b"200 OK" in connection.recv(65536)


def read_bytes(connection: socket.socket, pause_seconds: float) -> int:
    """Read a response after a pause; return the number of bytes."""
    connection.sendall(b"GET /long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    time.sleep(pause_seconds)
    read = 0
    with suppress(ConnectionResetError):
        while part := connection.recv(1 << 20):
            read += len(part)
    return read


def test_a_client_that_takes_nothing_of_its_answer_is_cut(port: int) -> None:
    with connect(port) as connection:
        assert read_bytes(connection, 8 * SOON) < LONG_BYTES


def test_a_client_that_pauses_gets_all_of_its_answer(port: int) -> None:
    with connect(port) as connection:
        assert read_bytes(connection, SOON) > LONG_BYTES


CHUNKED = b"POST /read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def flood(connection: socket.socket, block: bytes, seconds: float = 2.0) -> int:
    """Send a block repeatedly; return how many bytes were accepted."""
    sent, end = 0, time.monotonic() + seconds
    connection.settimeout(0.2)
    while time.monotonic() < end:
        with suppress(TimeoutError):
            sent += connection.send(block)
    connection.settimeout(10)
    return sent


@pytest.mark.parametrize(
    ("beginning", "block"),
    [(b"0\r\n", b"a:b\r\n" * 10_000), (b"1;", b"a" * 50_000)],
    ids=["trailers", "chunk extensions"],
)
def test_what_is_no_data_of_a_chunked_body_has_an_end(
    port: int, beginning: bytes, block: bytes
) -> None:
    with connect(port) as connection:
        connection.sendall(CHUNKED + beginning)
        with pytest.raises(ConnectionError):
            flood(connection, block)


def test_trailers_are_no_headers(port: int) -> None:
    body = b"2;x=y\r\nab\r\n0\r\nX-Tenant: mallory\r\nX-Last: 1\r\n\r\n"
    ask = CHUNKED.replace(b"/read", b"/echo") + body
    with connect(port) as connection:
        for _ in range(2):
            connection.sendall(ask)
            said = connection.recv(65536)
            assert said.endswith(b"ab|host,transfer-encoding")


def test_requests_that_come_together_are_answered_in_order(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the network splits the data."""
    monkeypatch.setattr(http_protocol, "HEADERS_SECONDS", 60)
    big = b"%x\r\n%b\r\n" % (5000, b"c" * 5000)
    echo = b"POST /echo HTTP/1.1\r\nHost: x\r\n"
    chunked = echo + b"Transfer-Encoding: chunked\r\n\r\n"
    asks = [
        (b"GET /soon HTTP/1.1\r\nHost: x\r\n\r\n", b"here"),
        (echo + b"Content-Length: 3\r\n\r\none", b"one|host,content-length"),
        (chunked + b"1\r\n2\r\n" * 1500 + b"0\r\n\r\n", b"2" * 1500 + b"|host"),
        (b"\r\n" + echo + b"Content-Length: 0\r\n\r\n", b"|host,content-length"),
        (chunked + big + b"0\r\nA: b\r\n\r\n", b"c" * 5000 + b"|host,transfer"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"here"),
    ]
    sent = b"".join(ask for ask, _ in asks)
    for seed in range(6):
        chance, start, received = random.Random(seed), 0, b""
        with connect(port) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while start < len(sent):
                end = start + chance.choice((1, 3, 40, 900, 20_000))
                connection.sendall(sent[start:end])
                time.sleep(0.001)
                start = end
            while part := connection.recv(65536):
                received += part
        answers = received.split(b"HTTP/1.1 200 OK\r\n")[1:]
        bodies = [answer.partition(b"\r\n\r\n")[2] for answer in answers]
        assert len(bodies) == len(asks)
        for (_, expected), body in zip(asks, bodies, strict=True):
            assert body.startswith(expected)


def test_a_body_is_asked_for_once_it_is_wanted(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
            b"Content-Length: 3\r\n\r\n"
        )
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"abc")
        assert b"200 OK" in connection.recv(65536)


def test_a_client_that_leaves_is_noticed_before_its_answer(port: int) -> None:
    """Also one that has sent a whole body of tiny chunks."""
    with connect(port) as connection:
        connection.sendall(CHUNKED.replace(b"/read", b"/leave"))
        connection.sendall(b"1\r\nx\r\n" * 5000 + b"0\r\n\r\n")
        time.sleep(SOON)
        assert "left" not in begun
    end = time.monotonic() + 10
    while "left" not in begun and time.monotonic() < end:
        time.sleep(0.01)
    assert begun == ["/leave", "left"]


class Counted(BoundedHttp):
    """Counts the steps in each iteration of the loop, and in each turn."""

    of_turns: ClassVar[list[int]] = []
    of_goes: ClassVar[list[int]] = []
    most_pipelined = 0

    def data_received(self, data: bytes) -> None:
        self.of_goes.append(0)
        super().data_received(data)

    def read_on(self) -> None:
        self.of_goes.append(0)
        super().read_on()

    def on_body(self, body: bytes) -> None:
        self.of_turns[-1] += 1
        self.of_goes[-1] += 1
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self.most_pipelined = max(self.most_pipelined, len(self.pipeline))


@asynccontextmanager
async def connected(
    app: ASGIApp, count: int
) -> AsyncIterator[tuple[list[Counted], list[Stream]]]:
    """Run a server on this loop; yield both ends of some connections."""
    config = uvicorn.Config(app, ws="none", log_config=None, lifespan="off")
    config.load()
    state, loop, made = ServerState(), asyncio.get_running_loop(), list[Counted]()
    Counted.of_turns[:] = [0]
    Counted.of_goes.clear()

    def make() -> Counted:
        made.append(Counted(config, state, {}, loop))
        return made[-1]

    server = await loop.create_server(make, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]
    try:
        yield made, streams
    finally:
        for _, writer in streams:
            writer.close()
        server.close()
        await asyncio.sleep(0.05)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_requests_wait_unread_while_one_is_answered() -> None:
    count, answered, has_begun = 2_000, 0, asyncio.Event()

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal answered
        await PlainTextResponse("")(scope, receive, send)
        answered += 1
        if answered == 50:
            has_begun.set()

    async with connected(answer, 1) as ([server], [(_, writer)]):
        writer.write(b"GET / HTTP/1.1\r\n\r\n" * count)
        await asyncio.wait_for(has_begun.wait(), 10)
        assert server.most_pipelined <= 1


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_tiny_chunks_of_many_connections_are_read_in_turns() -> None:
    count, chunks, done = 20, 6_000, 0

    async def read(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal done
        assert len(await Request(scope, receive).body()) == chunks
        await PlainTextResponse("")(scope, receive, send)
        done += 1

    async with connected(read, count) as (_, streams):
        for _, writer in streams:
            writer.write(CHUNKED + b"1\r\nx\r\n" * chunks + b"0\r\n\r\n")
        end = time.monotonic() + 30
        while done < count and time.monotonic() < end:
            Counted.of_turns.append(0)
            await asyncio.sleep(0)
        assert done == count
        # The last slice of a turn may exceed the limit by a few steps.
        most = 1.25 * http_protocol.MAX_STEPS
        assert max(Counted.of_goes) <= most
        # All connections may start in one iteration of the loop; then they take turns.
        turns = [each for each in Counted.of_turns if each]
        assert len(turns) >= count * chunks / most - count
