"""Requests of disallowed origins that would change something are refused."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from fastapi import APIRouter

from serve_app.api.app import create_app
from serve_app.api.part import ApiPart
from tests.unit.server import ORIGIN, Server, assert_problem, connect

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


OWN, LOCAL = "https://echo.example", "http://localhost"
router, own_router, closed_router = APIRouter(), APIRouter(), APIRouter()


@router.post("/all/{name}")
@router.get("/all/{name}")
@own_router.post("/own/{name}")
@own_router.get("/own/{name}")
@closed_router.post("/closed")
@closed_router.get("/closed")
async def _nothing() -> None:
    pass


PARTS = (
    ApiPart("all", (router,)),
    ApiPart("own", (own_router,), cors_origins=(OWN, f"{LOCAL}:*")),
    ApiPart("closed", (), (closed_router,), cors_origins=()),
)


@pytest.fixture
async def parted(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    """Call a server where each part has origins of its own, or those of all."""
    services = replace(server.services, cors_origins=(ORIGIN,))
    async with connect(create_app(services, PARTS)) as client:
        yield client


# Of each path: which origin may, and which may not.
BY_ROUTE = [
    *(("/all/a", ORIGIN, True), ("/all/a", OWN, False)),
    *(("/own/a", OWN, True), ("/own/a", ORIGIN, False)),
    *(("/own/a", LOCAL, True), ("/own/a", f"{LOCAL}:8081", True)),
    *(("/own/a", f"{LOCAL}:80a", False), ("/own/a", f"{LOCAL}.example:80", False)),
    *(("/own/a", "https://localhost:81", False), ("/all/a", f"{LOCAL}:81", False)),
    # What all systems share may be read by the pages of each.
    *(("/health", ORIGIN, True), ("/health", OWN, True)),
    *(("/health", f"{LOCAL}:81", True), ("/health", "https://other.example", False)),
    *(("/closed", ORIGIN, False), ("/closed", OWN, False)),
    *(("/ping", ORIGIN, True), ("/ping", OWN, False)),
    *(("/nowhere", ORIGIN, True), ("/nowhere", OWN, False)),
]


@pytest.mark.parametrize(("path", "origin", "may"), BY_ROUTE)
async def test_an_answer_can_be_read_by_the_origins_of_its_part(
    parted: httpx.AsyncClient, path: str, origin: str, may: bool
) -> None:
    answer = await parted.get(path, headers={"Origin": origin})
    found = answer.headers.get("access-control-allow-origin")
    assert found == (origin if may else None)


@pytest.mark.parametrize(("path", "origin", "may"), BY_ROUTE)
async def test_a_preflight_allows_the_origins_of_the_part(
    parted: httpx.AsyncClient, path: str, origin: str, may: bool
) -> None:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    answer = await parted.options(path, headers=headers)
    assert answer.status_code == (200 if may else 400)
    found = answer.headers.get("access-control-allow-origin")
    assert found == (origin if may else None)


@pytest.mark.parametrize(("path", "origin", "may"), BY_ROUTE)
async def test_pages_of_the_origins_of_a_part_may_change_things_there(
    parted: httpx.AsyncClient, path: str, origin: str, may: bool
) -> None:
    answer = await parted.post(path, headers={"Origin": origin})
    if may:
        assert answer.status_code in (200, 404, 405)
    else:
        assert_problem(answer, 403, "foreign_origin")


async def test_pages_of_ours_may_change_things_whatever_a_part_allows(
    parted: httpx.AsyncClient,
) -> None:
    answer = await parted.post("/closed", headers={"Origin": "http://server"})
    assert answer.status_code == 200


async def test_a_part_may_allow_any_origin_where_the_application_does_not(
    server: Server,
) -> None:
    services = replace(server.services, cors_origins=(ORIGIN,))
    open_part = ApiPart("open", (own_router,), cors_origins=("*",))
    async with connect(create_app(services, [open_part])) as client:
        answer = await client.post("/own/a", headers={"Origin": STRANGERS[0]})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "*"
        answer = await client.get("/ping", headers={"Origin": STRANGERS[0]})
        assert "access-control-allow-origin" not in answer.headers
