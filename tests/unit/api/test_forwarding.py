"""X-Forwarded-* headers count from trusted proxies only."""

from typing import Any

import httpx
import pytest
from fastapi import Request
from starlette.types import Message, Scope

from serve_app.api import forwarding
from serve_app.api.forwarding import ForwardedHeaders
from tests.unit.server import Server

pytestmark = pytest.mark.anyio

SPOOFED = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "public.example",
}


async def seen(
    trusted: tuple[str, ...], peer: Any, headers: list[tuple[str, str]]
) -> tuple[Any, str, list[str]]:
    """Return the client, scheme and hosts that an application sees of a request."""
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: object, send: object) -> None:
        scopes.append(scope)

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        raise AssertionError("it answers nothing itself")

    raw = [(name.lower().encode(), value.encode()) for name, value in headers]
    before: Scope = {
        "type": "http",
        "scheme": "http",
        "client": peer,
        "headers": [(b"host", b"inner:8000"), *raw],
    }
    kept = {**before, "headers": list(before["headers"])}
    await ForwardedHeaders(app, trusted)(before, receive, send)
    assert before == kept, "the server's own scope was changed"
    (scope,) = scopes
    found = [value.decode() for name, value in scope["headers"] if name == b"host"]
    client = scope["client"][0] if scope["client"] else None
    return client, scope["scheme"], found


@pytest.mark.parametrize(
    ("trusted", "peer"),
    [
        ((), "127.0.0.1"),
        (("10.0.0.0/8",), "127.0.0.1"),
        (("10.0.0.0/8",), "11.0.0.1"),
        (("127.0.0.1",), "127.0.0.2"),
        (("::1",), "127.0.0.1"),
        (("10.0.0.0/8",), "a unix socket"),
    ],
)
async def test_what_strangers_send_does_not_count(
    trusted: tuple[str, ...], peer: str
) -> None:
    found = await seen(trusted, (peer, 5), list(SPOOFED.items()))
    assert found == (peer, "http", ["inner:8000"])


@pytest.mark.parametrize(
    ("trusted", "peer"),
    [
        (("127.0.0.1",), "127.0.0.1"),
        (("192.0.2.1", "10.0.0.0/8"), "10.255.0.1"),
        (("10.0.0.5/8",), "10.1.2.3"),
        (("10.0.0.0/8",), "::ffff:10.0.0.1"),
        (("2001:db8::/32",), "2001:db8::7"),
        (("*",), "198.51.100.1"),
    ],
)
async def test_what_a_trusted_proxy_sends_counts(
    trusted: tuple[str, ...], peer: str
) -> None:
    found = await seen(trusted, (peer, 5), list(SPOOFED.items()))
    assert found == ("203.0.113.9", "https", ["public.example"])


async def test_a_peer_without_an_address_is_no_proxy() -> None:
    found = await seen(("*",), None, list(SPOOFED.items()))
    assert found == (None, "http", ["inner:8000"])


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("203.0.113.9:4711, 10.0.0.2:80", "203.0.113.9"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
        # Nobody knows who it was: the proxy itself stays.
        ("unknown", "10.0.0.1"),
        ("203.0.113.9, _hidden", "10.0.0.1"),
        ("", "10.0.0.1"),
        (" , ", "10.0.0.1"),
    ],
)
async def test_the_client_is_the_last_hop_that_is_not_trusted(
    forwarded: str, client: str
) -> None:
    headers = [("X-Forwarded-For", forwarded)]
    assert (await seen(("10.0.0.0/8",), ("10.0.0.1", 5), headers))[0] == client


async def test_the_lists_of_several_lines_are_one() -> None:
    headers = [
        ("X-Forwarded-For", "6.6.6.6"),
        ("X-Forwarded-For", "203.0.113.9"),
        ("X-Forwarded-Host", "made-up.example"),
        ("X-Forwarded-Host", "public.example"),
    ]
    found = await seen(("10.0.0.0/8",), ("10.0.0.1", 5), headers)
    assert found == ("203.0.113.9", "http", ["public.example"])


@pytest.mark.parametrize(
    ("hops", "named", "host"),
    [
        # Each of two proxies adds the host that it was asked for.
        ("203.0.113.9, 10.0.0.2", "public.example, middle.example", "public.example"),
        # The client has made one up before them.
        ("203.0.113.9, 10.0.0.2", "evil.example, public.example, x", "public.example"),
        ("203.0.113.9", "evil.example, public.example", "public.example"),
        # The second leaves what the first has said.
        ("203.0.113.9, 10.0.0.2", "public.example", "public.example"),
        # The one before the last is a stranger: it says what it likes.
        ("10.0.0.3, 203.0.113.9", "evil.example, public.example", "public.example"),
    ],
)
async def test_in_a_chain_what_the_outermost_trusted_proxy_added_counts(
    hops: str, named: str, host: str
) -> None:
    headers = [("X-Forwarded-For", hops), ("X-Forwarded-Host", named)]
    found = await seen(("10.0.0.0/8",), ("10.0.0.1", 5), headers)
    assert found[2] == [host]


@pytest.mark.parametrize("scheme", ["ftp", "javascript", "https://", "", "wss"])
@pytest.mark.parametrize("host", ["a/b", "a b", "[", "", "<script>"])
async def test_what_cannot_be_is_passed_over(scheme: str, host: str) -> None:
    headers = [("X-Forwarded-Proto", scheme), ("X-Forwarded-Host", host)]
    found = await seen(("*",), ("10.0.0.1", 5), headers)
    assert found == ("10.0.0.1", "http", ["inner:8000"])


async def test_urls_are_made_of_what_a_trusted_proxy_says(
    server: Server, song: bytes
) -> None:
    job_id = await server.separate(song)
    server.succeed({"drums": b"RIFF"})
    bases = []
    for trusted in ((), ("127.0.0.1",)):
        async with server.with_services(trusted_proxies=trusted) as client:
            job = (await client.get(f"/job/{job_id}", headers=SPOOFED)).json()
        bases.append(job["stems"]["drums"]["download_url"].partition("/job/")[0])
    assert bases == ["http://server", "https://public.example"]


async def test_the_application_has_it_before_everything_else(server: Server) -> None:
    """Also redirects and the log see the request as its client sent it."""
    app = server.app_with(trusted_proxies=("127.0.0.1",))

    @app.get("/seen")
    async def look(request: Request) -> dict[str, str]:
        assert request.client is not None
        return {"url": str(request.url), "client": request.client.host}

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://inner") as http:
        answer = await http.get("/seen", headers=SPOOFED)
    assert answer.json() == {
        "url": "https://public.example/seen",
        "client": "203.0.113.9",
    }


@pytest.mark.parametrize(
    ("trusted", "peer", "is_trusted"),
    [
        ((), "10.0.0.1", False),
        (("10.0.0.0/8",), "11.0.0.1", False),
        (("10.0.0.0/8",), "10.0.0.1", True),
    ],
)
async def test_who_sent_a_request_is_known_inside(
    trusted: tuple[str, ...], peer: str, is_trusted: bool
) -> None:
    found: list[bool] = []

    async def app(scope: Scope, *_: object) -> None:
        found.append(forwarding.is_trusted(scope))

    scope: Scope = {"type": "http", "scheme": "http", "headers": []}
    scope["client"] = (peer, 5)
    await ForwardedHeaders(app, trusted)(scope, nothing, nothing)
    assert found == [is_trusted]


async def nothing(*_: Any) -> Any:
    raise AssertionError("nothing is received or sent")
