"""The Host of a request is checked before it gets into a URL."""

import pytest
from starlette.types import Message

from serve_app.api import hosts
from tests.unit.server import ORIGIN, Server, assert_problem

pytestmark = pytest.mark.anyio

VALID = [
    "example.com",
    "example.com:8000",
    "STEMS.Example.com.",
    "localhost",
    "stem_serve-1:80",
    "a.example:",
    "a.example:65535",
    "xn--bcher-kva.example",
    "192.0.2.1",
    "192.0.2.1:65535",
    "[2001:db8::1]",
    "[::ffff:192.0.2.1]:8000",
]
INVALID = [
    "",
    "a b",
    "a/b",
    "a?b",
    "a#b",
    "user@example.com",
    "example.com:port",
    "example.com:65536",
    "example.com:123456",
    "[",
    "[::1",
    "[1:2]",
    "[:]",
    "::1",
    "a,b",
    "<script>",
    'a"b',
    "a\\b",
    "%00",
    "bücher.example",
    "a\nb",
    "a" * 256,
]


@pytest.mark.parametrize("host", VALID)
def test_hosts_that_can_be_are_valid(host: str) -> None:
    assert hosts.is_valid(host)


@pytest.mark.parametrize("host", INVALID)
def test_hosts_that_cannot_be_are_not_valid(host: str) -> None:
    assert not hosts.is_valid(host)


@pytest.mark.parametrize(
    ("scope", "url"),
    [
        ({"headers": [(b"host", b"a.example")]}, "http://a.example"),
        (
            {"headers": [(b"host", b"[::1]:80")], "scheme": "https"},
            "https://[::1]:80",
        ),
        (
            {"headers": [(b"host", b"a.example")], "root_path": "/songs/"},
            "http://a.example/songs",
        ),
        ({"headers": [], "server": ("10.0.0.5", 8000)}, "http://10.0.0.5:8000"),
        ({"headers": [], "server": ("::1", 8000)}, "http://[::1]:8000"),
        ({"headers": [(b"host", b"")], "server": ("/run/a", None)}, "http://localhost"),
        ({"headers": []}, "http://localhost"),
    ],
)
def test_the_base_url_is_what_the_request_was_sent_to(
    scope: dict[str, object], url: str
) -> None:
    assert hosts.base_url(scope) == url


@pytest.mark.parametrize(
    "host", [host for host in INVALID if host.isprintable() and host]
)
@pytest.mark.parametrize("path", ["/ping", "/job/unknown", "/nowhere/"])
async def test_a_request_to_a_host_that_cannot_be_is_refused(
    server: Server, host: str, path: str
) -> None:
    headers = {"Host": host.encode(), "Origin": ORIGIN.encode()}
    answer = await server.client.get(path, headers=headers)
    assert "Host" in assert_problem(answer, 400, "bad_request")
    assert answer.headers["access-control-allow-origin"] == "*"


ALLOWED = ("localhost", "127.0.0.1", "::1", "*.Example.com", "stems.example.org")


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost:8000", "LOCALHOST.", "127.0.0.1:1", "[::1]:8000"),
        *("a.example.com", "a.b.example.com:80", "stems.example.org", ""),
    ],
)
async def test_a_request_to_an_allowed_host_is_answered(
    server: Server, host: str
) -> None:
    async with server.with_services(allowed_hosts=ALLOWED) as client:
        answer = await client.get("/ping", headers={"Host": host})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8000", "localhost.evil.example"),
        *("example.com", "evilexample.com", "127.0.0.2", "[::2]"),
        *("a.stems.example.org", "notlocalhost"),
    ],
)
@pytest.mark.parametrize("path", ["/ping", "/jobs", "/docs", "/nowhere"])
async def test_a_request_to_another_host_is_misdirected(
    server: Server, host: str, path: str
) -> None:
    """A web page whose name leads here by DNS is not taken for one of ours."""
    async with server.with_services(allowed_hosts=ALLOWED) as client:
        headers = {"Host": host, "Origin": f"http://{host}"}
        answer = await client.get(path, headers=headers)
    detail = assert_problem(answer, 421, "misdirected_request")
    assert "STEMSERVE_ALLOWED_HOSTS" in detail
    assert host in detail


async def test_any_host_is_allowed_where_none_or_all_are_named(server: Server) -> None:
    for allowed in ((), ("*",)):
        async with server.with_services(allowed_hosts=allowed) as client:
            answer = await client.get("/ping", headers={"Host": "any.example:8000"})
            assert answer.status_code == 200


@pytest.mark.parametrize(
    ("trusted", "status"), [(("127.0.0.1",), 200), (("10.0.0.1",), 421), ((), 421)]
)
async def test_the_host_that_a_trusted_proxy_was_asked_for_counts(
    server: Server, trusted: tuple[str, ...], status: int
) -> None:
    async with server.with_services(
        allowed_hosts=("stems.example.org",), trusted_proxies=trusted
    ) as client:
        headers = {"Host": "inner:8000", "X-Forwarded-Host": "stems.example.org"}
        answer = await client.get("/ping", headers=headers)
    assert answer.status_code == status


async def test_a_host_made_up_at_a_trusted_proxy_does_not_count(server: Server) -> None:
    async with server.with_services(
        allowed_hosts=("localhost",), trusted_proxies=("127.0.0.1",)
    ) as client:
        headers = {"Host": "localhost", "X-Forwarded-Host": "evil.example"}
        answer = await client.get("/ping", headers=headers)
    assert answer.status_code == 421


async def test_a_request_to_two_hosts_is_refused(server: Server) -> None:
    both = [("Host", "a.example"), ("Host", "b.example")]
    answer = await server.client.get("/ping", headers=both)
    assert "The Host header must be present once, got 2" in assert_problem(
        answer, 400, "bad_request"
    )


async def test_what_is_not_http_has_no_host(server: Server) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/", "headers": [(b"host", b"[")]}
    await server.app(scope, receive, send)
    assert sent[0]["type"] == "websocket.close"
