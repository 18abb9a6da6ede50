"""Pages of strangers change nothing here, though browsers send what they ask."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.unit.server import ORIGIN, Server, assert_problem

pytestmark = pytest.mark.anyio

PUBLIC = "https://stems.example.com/below"
STRANGERS = [
    "https://evil.example",
    "https://console.example.evil.example",
    "http://server:8000",
    "https://console.example:8443",
    "null",
    "",
]
CHANGES = [
    ("POST", "/separate"),
    ("POST", "/analyze"),
    ("POST", "/uploads"),
    ("DELETE", "/job/unknown"),
    ("DELETE", "/uploads/unknown"),
    ("POST", "/job/unknown/deliveries/unknown/replay"),
]


@pytest.fixture
async def client(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    """Call a server where one origin may."""
    async with server.with_services(
        cors_origins=(ORIGIN,), public_url=PUBLIC
    ) as client:
        yield client


@pytest.mark.parametrize("origin", STRANGERS)
@pytest.mark.parametrize(("method", "path"), CHANGES)
async def test_what_a_page_of_a_stranger_would_change_is_refused(
    client: httpx.AsyncClient, method: str, path: str, origin: str
) -> None:
    answer = await client.request(method, path, headers={"Origin": origin})
    detail = assert_problem(answer, 403, "foreign_origin")
    assert "STEMSERVE_CORS_ORIGINS" in detail
    assert "access-control-allow-origin" not in answer.headers


async def test_a_song_that_a_form_of_a_stranger_sends_makes_no_job(
    client: httpx.AsyncClient, server: Server
) -> None:
    files = {"file": ("a.wav", b"RIFF")}
    headers = {"Origin": STRANGERS[0]}
    answer = await client.post("/separate", files=files, headers=headers)
    assert_problem(answer, 403, "foreign_origin")
    assert not server.store.listed("", 10)


@pytest.mark.parametrize("path", ["/jobs", "/job/unknown", "/health", "/nowhere"])
async def test_a_page_of_a_stranger_can_read_nothing(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.get(path, headers={"Origin": STRANGERS[0]})
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (ORIGIN, "server"),
        ("http://server", "server"),
        # Behind a proxy that ends TLS, and says nothing of it.
        ("https://Server:8443", "server:8443"),
        # Behind one that changes the host.
        ("https://stems.example.com", "10.0.0.5:8000"),
        (None, "server"),
    ],
)
async def test_pages_of_ours_and_configured_ones_may_change_things(
    client: httpx.AsyncClient, origin: str | None, host: str
) -> None:
    headers = {"Host": host} | ({"Origin": origin} if origin else {})
    answer = await client.delete("/job/unknown", headers=headers)
    assert_problem(answer, 404, "job_not_found")


async def test_any_page_may_where_any_origin_is_configured(server: Server) -> None:
    for origin in STRANGERS:
        answer = await server.client.delete("/job/1", headers={"Origin": origin})
        assert_problem(answer, 404, "job_not_found")
        assert answer.headers["access-control-allow-origin"] == "*"
