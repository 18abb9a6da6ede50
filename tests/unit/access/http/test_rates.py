"""Requests of a client in a minute, and the fields that tell it."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest

from serve_app.access.authenticator import Authenticator
from serve_app.access.http.door import AccessDoor, AccessPolicy
from serve_app.access.http.rates import Rates
from serve_app.access.key_cache import KeyCache
from serve_app.access.keys import KeyStore, NewKey
from serve_app.access.scopes import EVERYTHING
from serve_app.api.clients import Client
from serve_app.usage.quotas import NO_QUOTAS, Quotas
from tests.unit.server import Server, assert_problem, connect

pytestmark = pytest.mark.anyio

ACME = Client("acme", is_tenant=True)


@asynccontextmanager
async def limited(
    server: Server, quotas: Quotas = NO_QUOTAS, key_quotas: Quotas = NO_QUOTAS
) -> AsyncIterator[tuple[httpx.AsyncClient, dict[str, str]]]:
    """Yield a client of a server with quotas, and the header of a key with its own."""
    keys = KeyStore(server.database, server.clock, b"secret")
    authenticator = Authenticator(KeyCache(keys), server.clock)
    policy = AccessPolicy(is_required=False, quotas=quotas)
    door = AccessDoor(authenticator, policy)
    _, text = keys.create(NewKey("test", "acme", EVERYTHING, quotas=key_quotas))
    async with connect(server.app_with(door=door)) as client:
        yield client, {"Authorization": f"Bearer {text.text}"}


async def test_requests_above_the_limit_are_refused_with_the_time_to_wait(
    server: Server,
) -> None:
    async with limited(server, Quotas(requests_per_minute=3)) as (client, _):
        for left in (2, 1, 0):
            answer = await client.get("/jobs")
            assert answer.status_code == 200
            assert answer.headers["RateLimit-Policy"] == '"minute";q=3;w=60'
            assert answer.headers["RateLimit"].startswith(f'"minute";r={left};t=')
        answer = await client.get("/jobs")
    assert "3 requests in a minute" in assert_problem(answer, 429, "quota_exceeded")
    seconds = int(answer.headers["Retry-After"])
    assert 1 <= seconds <= 60
    assert answer.headers["RateLimit"] == f'"minute";r=0;t={seconds}'


def test_keys_of_a_tenant_with_other_limits_share_what_is_used() -> None:
    rates = Rates()
    assert [rates.count(ACME, 5).remaining for _ in range(3)] == [4, 3, 2]
    assert not rates.count(ACME, 6).is_exceeded
    assert rates.count(ACME, 2) == rates.count(ACME, 2)
    assert rates.count(ACME, 2).is_exceeded
    assert rates.count(ACME, 2).remaining == 0
    assert not rates.count(ACME, 5).is_exceeded
    assert rates.count(ACME, 5).is_exceeded


async def test_errors_tell_the_limit_too(server: Server) -> None:
    async with limited(server, Quotas(requests_per_minute=3)) as (client, _):
        answer = await client.get(f"/job/{'0' * 32}")
    assert answer.status_code == 404
    assert re.fullmatch(r'"minute";r=2;t=\d+', answer.headers["RateLimit"])


async def test_the_limit_of_a_key_goes_before_that_of_the_server(
    server: Server,
) -> None:
    given = Quotas(requests_per_minute=1), Quotas(requests_per_minute=5)
    async with limited(server, *given) as (client, key):
        answers = [await client.get("/jobs", headers=key) for _ in range(5)]
        assert [each.status_code for each in answers] == [200] * 5
        assert (await client.get("/jobs")).status_code == 200
        assert (await client.get("/jobs")).status_code == 429


async def test_probes_and_unlimited_clients_are_not_counted(server: Server) -> None:
    async with limited(server, Quotas(requests_per_minute=1)) as (client, _):
        for _ in range(3):
            answer = await client.get("/livez")
            assert answer.status_code == 200
            assert "RateLimit" not in answer.headers
    async with limited(server) as (client, _):
        assert "RateLimit" not in (await client.get("/jobs")).headers


async def test_a_song_above_a_quota_is_refused_before_its_body_is_read(
    server: Server, song: bytes
) -> None:
    async with limited(server, key_quotas=Quotas(jobs_queued=1)) as (client, key):
        for status in (200, 429):
            answer = await client.post(
                "/separate", files={"file": ("song.wav", song)}, headers=key
            )
            assert answer.status_code == status, answer.text
    assert "quota is 1" in assert_problem(answer, 429, "quota_exceeded")


async def test_the_quotas_of_a_key_go_into_its_jobs(
    server: Server, song: bytes
) -> None:
    async with limited(server, key_quotas=Quotas(jobs_at_once=2)) as (client, key):
        answer = await client.post(
            "/separate", files={"file": ("song.wav", song)}, headers=key
        )
    job = server.store.get(answer.json()["job_id"])
    assert job.at_once == 2
    assert job.audio_seconds == pytest.approx(1.0)
    assert job.stored_bytes > len(song)


def test_clients_are_counted_by_themselves() -> None:
    rates = Rates()
    assert not rates.count(ACME, 1).is_exceeded
    assert rates.count(ACME, 1).is_exceeded
    assert not rates.count(replace(ACME, name="other"), 1).is_exceeded
    assert not rates.count(replace(ACME, is_tenant=False), 1).is_exceeded


def test_memory_is_bounded_whatever_the_number_of_clients() -> None:
    rates = Rates(most_counters=100)
    for number in range(1000):
        rates.count(Client(f"10.0.0.{number}", is_tenant=False), 5)
        assert len(rates) <= 100
