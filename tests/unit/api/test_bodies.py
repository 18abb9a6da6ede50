"""Slow bodies are aborted; too many are refused before they are read."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from time import monotonic

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api import bodies, clients
from serve_app.api.bodies import Bodies, Pace, _CheckedBody
from serve_app.api.door import let_in
from serve_app.api.limits import Limit
from serve_app.api.route_rules import RouteRules
from tests.unit.live import serving
from tests.unit.server import Server, refuse_to_read

FORM = "multipart/form-data; boundary=x"
JSON = "application/json"
BEGIN = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'


@contextmanager
def served(
    server: Server, monkeypatch: pytest.MonkeyPatch, pace: Pace, ongoing: int = 512
) -> Iterator[str]:
    """Serve where bodies must keep `pace`."""
    monkeypatch.setattr(bodies.Bodies.__init__, "__defaults__", ("", pace))
    with serving(server.app_with(max_ongoing_requests=ongoing)) as url:
        yield url


def connected(url: str, path: str, media_type: str, body: bytes) -> socket.socket:
    """Send headers and the beginning of a body that is said to be longer."""
    host, port = url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=10)
    connection.sendall(
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {media_type}\r\n"
        f"Content-Length: 100000\r\n\r\n".encode()
        + body
    )
    return connection


def read_all(connection: socket.socket) -> str:
    """Read until the server closes."""
    received = b""
    with connection:
        while block := connection.recv(65536):
            received += block
    return received.decode()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "media_type", "body"),
    [
        ("/separate", FORM, BEGIN),
        ("/separate", JSON, b'{"url": "'),
        ("/analyze", FORM, BEGIN),
        ("/uploads", JSON, b'{"filename": "'),
    ],
)
async def test_a_body_that_stands_still_is_ended_and_leaves_nothing(
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    media_type: str,
    body: bytes,
) -> None:
    with served(server, monkeypatch, Pace(0.2, 1000)) as url:
        said = read_all(connected(url, path, media_type, body))
    assert said.startswith("HTTP/1.1 408 ")
    assert "connection: close" in said.lower()
    assert "application/problem+json" in said
    assert '"code":"body_too_slow"' in said
    assert "access-control-allow-origin" in said.lower()
    assert server.left_behind() == []


@pytest.mark.anyio
async def test_a_body_that_trickles_is_ended(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(server, monkeypatch, Pace(0.3, 1000)) as url:
        connection = connected(url, "/separate", FORM, BEGIN)
        began = monotonic()
        for _ in range(4):
            connection.sendall(b"-")
            await asyncio.sleep(0.05)
        assert read_all(connection).startswith("HTTP/1.1 408 ")
        assert monotonic() - began < 5


@pytest.mark.anyio
async def test_a_song_over_a_bad_line_is_taken(
    server: Server, monkeypatch: pytest.MonkeyPatch, song: bytes
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        body = BEGIN + song + b"\r\n--x--\r\n"
        for start in range(0, len(body), 20_000):
            await asyncio.sleep(0.05)
            yield body[start : start + 20_000]

    with served(server, monkeypatch, Pace(0.3, 10_000)) as url:
        async with httpx.AsyncClient(base_url=url) as client:
            answer = await client.post(
                "/separate", content=pieces(), headers={"Content-Type": FORM}
            )
    assert answer.status_code == 200, answer.text


@pytest.mark.anyio
async def test_bytes_in_time_do_not_help_when_they_are_few() -> None:
    async def receive() -> Message:
        await asyncio.sleep(0.05)
        return {"type": "http.request", "body": b"1", "more_body": True}

    body = _CheckedBody(receive, Pace(0.3, 1000))
    kinds = [(await body.receive())["type"] for _ in range(10)]
    assert kinds[0] == "http.request"
    assert kinds[-1] == "http.disconnect"


@pytest.mark.anyio
async def test_time_that_the_server_takes_is_not_the_clients() -> None:
    messages = iter(range(5))

    async def receive() -> Message:
        return {"type": "http.request", "body": b"1", "more_body": next(messages) < 4}

    body = _CheckedBody(receive, Pace(0.1, 1000))
    for _ in range(5):
        await asyncio.sleep(0.05)
        assert (await body.receive())["type"] == "http.request"
    assert body.error is None


@pytest.mark.anyio
async def test_a_client_with_its_share_of_bodies_is_refused_before_it_sends(
    server: Server, monkeypatch: pytest.MonkeyPatch, song: bytes
) -> None:
    # Of 16 at once four have bodies, two of them of one client.
    with served(server, monkeypatch, Pace(2.0, 1000), ongoing=16) as url:
        first = [connected(url, "/separate", FORM, BEGIN) for _ in range(2)]
        await asyncio.sleep(0.3)
        with connected(url, "/separate", FORM, b"") as refused:
            line = refused.recv(65536).decode()
        assert line.startswith("HTTP/1.1 429 ")
        assert "retry-after: " in line.lower()
        async with httpx.AsyncClient(base_url=url) as client:
            assert (await client.get("/livez")).status_code == 200
            for each in first:
                each.close()
            await asyncio.sleep(0.3)
            answer = await client.post("/separate", files={"file": ("a.wav", song)})
            assert answer.status_code == 200, answer.text


@pytest.mark.anyio
async def test_full_means_that_no_body_is_read(server: Server) -> None:
    server = replace(server, app=server.app_with(max_ongoing_requests=4))
    headers = {"Content-Type": FORM, "Content-Length": "1000"}
    statuses: list[int] = []

    async def receive() -> Message:
        statuses.append(await server.post_raw("/separate", headers, refuse_to_read))
        return {"type": "http.disconnect"}

    # While its body is waited for another one comes, which has no place.
    assert await server.post_raw("/separate", headers, receive) == 400
    assert statuses == [429]


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/uploads", "/separate", "/analyze"])
async def test_a_body_that_is_no_form_is_not_read_without_end(
    server: Server, path: str
) -> None:
    sent_bytes = 0

    async def receive() -> Message:
        nonlocal sent_bytes
        sent_bytes += 16_384
        assert sent_bytes < 1_000_000
        return {"type": "http.request", "body": b" " * 16_384, "more_body": True}

    headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    assert await server.post_raw(path, headers, receive) in (400, 413)


async def read_whole(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer what has read its body."""
    more_body = True
    while more_body:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more_body = message["more_body"]
    await PlainTextResponse("")(scope, receive, send)


async def status_of(
    app: ASGIApp, client: str, size_bytes: int, may_end: asyncio.Event
) -> int:
    """Send so much every 50 ms until it may end; return the status of the answer."""
    statuses = []

    async def receive() -> Message:
        if not may_end.is_set():
            await asyncio.sleep(0.05)
        more_body = not may_end.is_set()
        return {
            "type": "http.request",
            "body": bytes(size_bytes),
            "more_body": more_body,
        }

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    headers = [(b"transfer-encoding", b"chunked"), (b"content-type", FORM.encode())]
    scope = {"type": "http", "headers": headers, "client": (client, 1), "path": "/"}
    let_in(scope, clients.peer(scope))
    await app({**scope, "method": "POST"}, receive, send)
    return int(statuses[0])


SLOW, FAST = 100, 100_000


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_slow_bodies_give_their_places_to_new_ones() -> None:
    app = Bodies(
        read_whole, RouteRules(), Limit("requests with a body", 128), Pace(0.3, 10)
    )
    may_end, now = asyncio.Event(), asyncio.Event()
    now.set()
    sizes = [FAST] * 10 + [SLOW] * 117 + [SLOW // 10]
    asked = [
        asyncio.ensure_future(status_of(app, f"10.0.0.{i % 2}", size, may_end))
        for i, size in enumerate(sizes)
    ]
    await asyncio.sleep(0.1)
    # Nobody is known to be slow yet.
    assert await status_of(app, "10.0.2.1", 1, now) == 503
    await asyncio.sleep(1.5)
    assert not any(each.done() for each in asked)
    began = monotonic()
    assert await status_of(app, "10.0.2.1", 1, now) == 200
    assert monotonic() - began < 1
    await asyncio.sleep(0.2)
    assert [each.result() for each in asked if each.done()] == [408]
    assert asked[-1].done()
    # As many as come, and nobody who is fast.
    end, news = asyncio.Event(), []
    for number in range(118):
        news.append(
            asyncio.ensure_future(status_of(app, f"10.0.1.{number}", FAST, end))
        )
        await asyncio.sleep(0)
    await asyncio.sleep(0.2)
    assert await status_of(app, "10.0.2.2", 1, now) == 503
    may_end.set()
    end.set()
    assert {await each for each in news} == {200}
    assert [await each for each in asked] == [200] * 10 + [408] * 118
