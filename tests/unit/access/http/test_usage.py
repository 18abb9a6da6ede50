"""The list of what tenants used."""

import csv
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest

from serve_app.access.authenticator import Authenticator
from serve_app.access.http.door import AccessDoor, AccessPolicy
from serve_app.access.http.usage import usage_part
from serve_app.access.key_cache import KeyCache
from serve_app.access.keys import KeyStore, NewKey
from serve_app.api.app import create_app
from serve_app.usage import table
from serve_app.usage.store import UsageStore
from serve_app.usage.table import day_of
from serve_app.usage.used import JobUsage
from tests.unit.server import Server, assert_problem, connect

pytestmark = pytest.mark.anyio

USED = JobUsage(audio_seconds=180.0, device_seconds=2.5, bytes_in=9, bytes_out=44)


@asynccontextmanager
async def asking(
    server: Server, *scopes: str, tenant: str = "acme"
) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client with a key, after two tenants and others used something."""
    with server.database.writing() as connection:
        for name in ("acme", "acme", "other", ""):
            table.add(connection, name, day_of(server.clock()), USED)
    keys = KeyStore(server.database, server.clock, b"secret")
    _, text = keys.create(NewKey("test", tenant, frozenset(scopes)))
    authenticator = Authenticator(KeyCache(keys), server.clock)
    door = AccessDoor(authenticator, AccessPolicy(is_required=True))
    part = usage_part(UsageStore(server.database))
    app = create_app(replace(server.services, door=door), [part])
    async with connect(app) as client:
        client.headers["X-API-Key"] = text.text
        yield client


async def test_a_tenant_sees_its_own_usage(server: Server) -> None:
    async with asking(server, "stems:read") as client:
        answer = await client.get("/usage")
        assert (await client.get("/usage?tenant=acme")).json() == answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "from": "2026-10-21",
        "to": "2026-11-20",
        "usage": [
            {
                "day": "2026-11-20",
                "tenant": "acme",
                "jobs": 2,
                "audio_seconds": 360.0,
                "device_seconds": 5.0,
                "bytes_in": 18,
                "bytes_out": 88,
            }
        ],
    }


async def test_the_usage_of_another_tenant_needs_the_scope_admin(
    server: Server,
) -> None:
    async with asking(server, "stems:read") as client:
        answer = await client.get("/usage?tenant=other")
    assert "scope admin" in assert_problem(answer, 403, "forbidden")


async def test_an_admin_sees_all_tenants_or_one(server: Server) -> None:
    async with asking(server, "admin", tenant="*") as client:
        shown = {
            query: [day["tenant"] for day in (await client.get(query)).json()["usage"]]
            for query in ("/usage", "/usage?tenant=other", "/usage?tenant=")
        }
    assert shown == {
        "/usage": ["", "acme", "other"],
        "/usage?tenant=other": ["other"],
        "/usage?tenant=": [""],
    }


@pytest.mark.parametrize(
    ("query", "accept"), [("?format=csv", "*/*"), ("", "text/csv, */*;q=0.1")]
)
async def test_usage_comes_as_csv_when_asked(
    server: Server, query: str, accept: str
) -> None:
    async with asking(server, "stems:read") as client:
        answer = await client.get(f"/usage{query}", headers={"Accept": accept})
    assert answer.headers["content-type"].startswith("text/csv")
    [row] = csv.DictReader(io.StringIO(answer.text))
    assert (row["day"], row["tenant"], row["jobs"]) == ("2026-11-20", "acme", "2")
    assert float(row["device_seconds"]) == 5.0


@pytest.mark.parametrize(
    "query", ["from=2026-11-21&to=2026-11-20", "from=yesterday", "format=xml"]
)
async def test_what_is_no_period_or_format_is_refused(
    server: Server, query: str
) -> None:
    async with asking(server, "stems:read") as client:
        assert_problem(await client.get(f"/usage?{query}"), 422, "invalid_input")


async def test_a_period_has_both_its_ends(server: Server) -> None:
    async with asking(server, "stems:read") as client:
        for query, days in (
            ("from=2026-11-20&to=2026-11-20", 1),
            ("to=2026-11-19", 0),
            ("from=2026-11-21&to=2026-12-01", 0),
        ):
            assert len((await client.get(f"/usage?{query}")).json()["usage"]) == days
