"""No connection is held for nothing: late or endless headers, bodies without use."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from threading import Thread

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http import auto

from deployments import http_protocol
from deployments.http_protocol import BoundedHttp

SOON = 0.3
# More than the buffers of a connection hold.
LONG_BYTES = 50_000_000


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer at once, or after the body, or late."""
    if scope["path"] == "/read":
        await Request(scope, receive).body()
    if scope["path"] == "/late":
        await asyncio.sleep(4 * SOON)
    body = "here" if scope["path"] != "/long" else "x" * LONG_BYTES
    await PlainTextResponse(body)(scope, receive, send)


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(auto, "AutoHTTPProtocol", auto.AutoHTTPProtocol)
    monkeypatch.setattr(http_protocol, "HEADERS_SECONDS", SOON)
    monkeypatch.setattr(http_protocol, "REST_OF_BODY_SECONDS", SOON)
    monkeypatch.setattr(http_protocol, "UNREAD_SECONDS", 3 * SOON)
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
    """Send so much at a time, for 10 seconds at most."""
    for _ in range(int(10 / SOON * 10)):
        connection.sendall(b"x" * size_bytes)
        time.sleep(SOON / 10)


def closed_after(connection: socket.socket) -> float:
    """Return the seconds until the server closes."""
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
    """Read what comes of an answer, after a pause; return how much that was."""
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
