"""A slow client's download needs little memory."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from serve_app.api import pieces
from serve_app.api.pieces import Pieces
from tests.unit.server import Server

pytestmark = pytest.mark.anyio

CONTENT = bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "FIRST_BYTES", 500)
    monkeypatch.setattr(pieces, "MOST_BYTES", 1000)


@pytest.fixture
async def url(server: Server, song: bytes) -> str:
    job_id = await server.separate(song)
    server.succeed({"drums": CONTENT})
    return f"/job/{job_id}/stems/drums"


@pytest.fixture
async def client(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(Pieces(server.app))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as it:
        yield it


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Range": "bytes=0-"},
        {"Range": "bytes=10-9000"},
        {"Range": "bytes=-5000"},
        {"Range": "bytes=5-7"},
        {"Range": "bytes=99999-"},
        {"Range": "bytes=0-1,5-9"},
        {"If-None-Match": "*"},
        {"Range": "bytes=3000-", "If-Range": "another"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_an_answer_in_pieces_is_the_answer_in_one(
    server: Server,
    client: httpx.AsyncClient,
    url: str,
    method: str,
    headers: dict[str, str],
) -> None:
    whole = await server.client.request(method, url, headers=headers)
    found = await client.request(method, url, headers=headers)
    assert found.status_code == whole.status_code
    assert whole.is_error or found.content == whole.content
    ours = {"x-request-id", "date"}
    assert {k: v for k, v in found.headers.items() if k not in ours} == {
        k: v for k, v in whole.headers.items() if k not in ours
    }


@pytest.mark.parametrize("path", ["/jobs", "/livez", "/job/unknown", "/models"])
async def test_what_is_no_file_comes_in_one(
    server: Server, client: httpx.AsyncClient, path: str
) -> None:
    whole, found = await server.client.get(path), await client.get(path)
    assert (found.status_code, found.headers["content-type"]) == (
        whole.status_code,
        whole.headers["content-type"],
    )


async def test_a_song_is_taken_as_before(
    client: httpx.AsyncClient, song: bytes
) -> None:
    answer = await client.post("/separate", files={"file": ("a.wav", song)})
    assert answer.status_code == 200


async def test_a_client_can_ask_for_no_piece(
    client: httpx.AsyncClient, url: str
) -> None:
    answer = await client.get(url, headers={pieces.HEADER: "5000-6000"})
    assert answer.content == CONTENT
    assert pieces.HEADER not in answer.headers


def scope(path: str) -> Scope:
    return {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"server")],
        "server": ("server", 80),
        "client": ("127.0.0.1", 1),
        "scheme": "http",
        "root_path": "",
        "http_version": "1.1",
    }


class Counting:
    """Counts the bytes that an application has sent."""

    def __init__(self, server: Server) -> None:
        self.sent_bytes = 0
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counting(message: Message) -> None:
            self.sent_bytes += len(message.get("body", b""))
            await send(message)

        await self._server.app(scope, receive, counting)


def told(*messages: Message) -> Receive:
    coming: Iterator[Message] = iter(messages)

    async def receive() -> Message:
        for message in coming:
            return message
        await asyncio.Event().wait()
        raise AssertionError

    return receive


REQUEST: Message = {"type": "http.request", "body": b"", "more_body": False}


async def test_a_client_that_does_not_read_holds_one_piece(
    server: Server, url: str
) -> None:
    app = Counting(server)

    async def stuck(message: Message) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    asked = asyncio.create_task(Pieces(app)(scope(url), told(REQUEST), stuck))
    await asyncio.sleep(0.5)
    assert 0 < app.sent_bytes <= pieces.FIRST_BYTES
    asked.cancel()
    await asyncio.wait({asked})


async def test_a_client_that_leaves_is_sent_no_more(server: Server, url: str) -> None:
    app = Counting(server)
    left = asyncio.Event()

    async def receive() -> Message:
        if not left.is_set() and app.sent_bytes == 0:
            await asyncio.sleep(0)
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if app.sent_bytes >= 2 * pieces.MOST_BYTES:
            left.set()
            await asyncio.sleep(0.05)

    await asyncio.wait_for(Pieces(app)(scope(url), receive, send), 10)
    assert app.sent_bytes <= 4 * pieces.MOST_BYTES


async def test_a_file_that_goes_meanwhile_is_seen_to_be_cut(
    server: Server, url: str
) -> None:
    bodies: list[Message] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            bodies.append(message)
            if len(bodies) == 2:
                await server.client.delete(url.rpartition("/stems")[0])

    with pytest.raises(ConnectionError):
        await Pieces(server.app)(scope(url), told(REQUEST), send)
    assert all(message["more_body"] for message in bodies)


async def test_without_a_proxy_that_names_pieces_clients_name_none() -> None:
    """Else they could hide requests from the logs and from their quotas."""
    seen: list[Headers] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(Headers(scope=scope))

    async def nothing(*_: object) -> Message:
        return {}

    named = [(pieces.HEADER.encode(), b"9-10"), (b"range", b"bytes=0-1")]
    scope = {"type": "http", "headers": named}
    await pieces.WithoutPieces(app)(scope, nothing, nothing)
    assert dict(seen[0]) == {"range": "bytes=0-1"}
    assert pieces.is_first(seen[0])
