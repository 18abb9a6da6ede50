"""Who may read the metrics, and that they are never an error."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from serve_app.access.http.door import AccessPolicy
from serve_app.api.app import create_app
from serve_app.errors import DatabaseUnavailable
from serve_app.telemetry.exposition import Service
from serve_app.telemetry.http.part import Metrics, MetricsAccess, parts
from serve_app.telemetry.scrape import Scraper, Sources
from serve_app.telemetry.store import DatabaseFacts
from tests.unit.access.gate import ADMIN_KEY, Gate, bearer, guarded
from tests.unit.server import Server, assert_problem, connect

pytestmark = pytest.mark.anyio

UNDECIDED = AccessPolicy()
GATEWAY = AccessPolicy(None, tenant_header="X-Tenant")


def metrics(read: object = DatabaseFacts) -> Metrics:
    scraper = Scraper(Sources(read, lambda: None))  # type: ignore[arg-type]
    return Metrics(scraper, Service("1", {"separation": "stems"}))


@asynccontextmanager
async def scraping(
    server: Server, access: MetricsAccess, found: Metrics
) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(create_app(server.services, parts(found, access))) as client:
        yield client


async def test_prometheus_gets_text_that_no_cache_keeps(server: Server) -> None:
    async with scraping(server, "open", metrics()) as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert answer.headers["cache-control"] == "no-store"
    assert "stemserve_database_up 1.0" in answer.text


async def test_a_database_that_is_down_is_told_with_200(server: Server) -> None:
    def away() -> DatabaseFacts:
        raise DatabaseUnavailable("away")

    async with scraping(server, "open", metrics(away)) as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert "stemserve_database_up 0.0" in answer.text
    assert "stemserve_jobs" not in answer.text


async def test_off_is_no_route(server: Server) -> None:
    async with scraping(server, "off", metrics()) as client:
        assert_problem(await client.get("/metrics"), 404, "not_found")


async def status(gate: Gate, headers: dict[str, str] | None = None) -> int:
    return (await gate.client.get("/metrics", headers=headers)).status_code


async def test_where_access_is_open_everyone_may_scrape_until_there_is_a_key(
    server: Server,
) -> None:
    async with guarded(server, UNDECIDED, admin_key="") as gate:
        assert await status(gate) == 200
        _, user = gate.key("stems:read")
        _, admin = gate.key("admin")
    # Another Api, which does not remember that there were no keys.
    async with guarded(server, UNDECIDED, admin_key="") as gate:
        assert await status(gate) == 401
        assert await status(gate, user) == 403
        assert await status(gate, admin) == 200


async def test_a_scraper_needs_no_tenant_of_the_gateway(server: Server) -> None:
    async with guarded(server, GATEWAY, admin_key="") as gate:
        assert await status(gate) == 200
        _, admin = gate.key("admin")
    async with guarded(server, GATEWAY, admin_key="") as gate:
        assert await status(gate, admin) == 200
        assert await status(gate) == 401


async def test_open_systems_do_not_open_the_metrics(server: Server) -> None:
    policy = AccessPolicy(True, frozenset({"stems"}))
    async with guarded(server, policy) as gate:
        assert await status(gate) == 401


async def test_the_operators_own_key_scrapes_without_the_database(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other keys are in the database."""

    def away() -> None:
        raise DatabaseUnavailable("away")

    async with guarded(server) as gate:
        _, admin = gate.key("admin")
        monkeypatch.setattr(server.database, "reading", away)
        assert await status(gate, admin) == 503
        answer = await gate.client.get("/metrics", headers=bearer(ADMIN_KEY))
    assert answer.status_code == 200
    assert "stemserve_database_up 0.0" in answer.text
