"""The audit log of a server: who did what, and no secret wherever a client puts it."""

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from serve_app.access.audit import LOGGER
from serve_app.access.http.door import AccessPolicy
from tests.unit.access.gate import ADMIN_KEY, Gate, uncached
from tests.unit.server import Server

pytestmark = pytest.mark.anyio

ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}
# A JWT, signed by nobody.
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyLTcifQ.c2lnbmF0dXJlIG9mIG5vYm9keQ"


@pytest.fixture
async def gate(server: Server, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Gate]:
    caplog.set_level(logging.DEBUG)
    async with uncached(server) as gate:
        yield gate


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    found = [each for each in caplog.records if each.name == LOGGER]
    return [json.loads(each.getMessage()) for each in found]


def last(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    return lines(caplog)[-1]


async def test_a_job_is_named_with_the_key_that_started_it(
    gate: Gate, song: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    key, headers = gate.key()
    job_id = await gate.separated(song, headers)
    started = last(caplog)
    assert started["event"] == "request"
    assert (started["method"], started["route"]) == ("POST", "/separate")
    assert (started["credential"], started["tenant"]) == (f"key:{key.id}", "acme")
    assert (started["status"], started["job"]) == (200, job_id)
    await gate.client.delete(f"/job/{job_id}", headers=headers)
    deleted = last(caplog)
    assert (deleted["method"], deleted["route"]) == ("DELETE", "/job/{job_id}")
    assert deleted["job"] == job_id


async def test_reads_are_not_changes(
    gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    _, headers = gate.key()
    await gate.client.get("/jobs", headers=headers)
    await gate.client.get("/health")
    assert lines(caplog) == []


async def test_what_admins_do_is_written_with_the_key_it_is_about(
    gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    key, _ = gate.key()
    await gate.client.get("/keys", headers=ADMIN)
    await gate.client.delete(f"/keys/{key.id}", headers=ADMIN)
    listed, revoked = lines(caplog)
    assert (listed["route"], listed["credential"]) == ("/keys", "admin")
    assert (revoked["route"], revoked["key"]) == ("/keys/{key_id}", key.id)


async def test_a_refusal_names_the_credentials_that_were_valid(
    gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    key, headers = gate.key("stems:read")
    answer = await gate.client.delete(f"/job/{'0' * 32}", headers=headers)
    assert answer.status_code == 403
    refused = last(caplog)
    assert refused["event"] == "request refused"
    assert (refused["credential"], refused["tenant"]) == (f"key:{key.id}", "acme")
    assert refused["request"] == answer.headers["x-request-id"]
    assert refused["client"] == "127.0.0.1"


@pytest.mark.parametrize("end", ["revoked", "expired"])
async def test_a_refusal_names_a_key_that_is_no_longer_valid(
    gate: Gate, caplog: pytest.LogCaptureFixture, end: str
) -> None:
    key, headers = gate.key(seconds=-1 if end == "expired" else None)
    if end == "revoked":
        gate.keys.revoke(key.id)
    answer = await gate.client.get("/jobs", headers=headers)
    assert answer.status_code == 401
    assert last(caplog)["credential"] == f"key:{key.id}"
    # Whoever knows only the id is not named by it.
    forged = {"Authorization": headers["Authorization"][:-8] + "aaaaaaaa"}
    await gate.client.get("/jobs", headers=forged)
    assert last(caplog)["credential"] is None


async def test_a_link_is_named_with_the_key_that_made_it(
    server: Server, song: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with uncached(server, audit="all") as gate:
        key, headers = gate.key()
        job_id = await gate.separated(song, headers)
        await gate.client.get(await gate.stem_url(job_id, headers))
    opened = last(caplog)
    assert (opened["credential"], opened["tenant"]) == (f"link:key:{key.id}", "acme")
    assert (opened["route"], opened["job"]) == (
        "/job/{job_id}/stems/{stem_name}",
        job_id,
    )


@pytest.mark.parametrize("is_required", [False, None])
async def test_where_access_is_open_only_all_writes_lines(
    server: Server,
    song: bytes,
    caplog: pytest.LogCaptureFixture,
    is_required: bool | None,
) -> None:
    caplog.set_level(logging.INFO)
    policy = AccessPolicy(is_required=is_required)
    # Nothing is configured, for `None`.
    async with uncached(server, policy, admin_key="") as gate:
        await gate.separated(song, {})
        await gate.client.get("/keys")
        assert lines(caplog) == []
    async with uncached(server, policy, audit="all", admin_key="") as gate:
        await gate.client.get("/jobs")
        assert last(caplog)["route"] == "/jobs"


async def test_lines_begin_as_soon_as_there_is_a_key(
    server: Server, caplog: pytest.LogCaptureFixture, song: bytes
) -> None:
    caplog.set_level(logging.INFO)
    async with uncached(server, AccessPolicy(), admin_key="") as gate:
        await gate.client.get("/jobs")
        key, headers = gate.key()
        await gate.separated(song, headers)
        assert last(caplog)["credential"] == f"key:{key.id}"


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "HEAD"])
async def test_no_log_has_a_secret_wherever_a_client_puts_it(
    gate: Gate, song: bytes, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    _, headers = gate.key()
    job_id = await gate.separated(song, headers)
    text = headers["Authorization"].removeprefix("Bearer ")
    token = (await gate.stem_url(job_id, headers)).partition("token=")[2]
    caplog.clear()
    for secret in (text, token, JWT, ADMIN_KEY, text[:-1]):
        for path in (
            f"/job/{job_id}/stems/drums?token={secret}",
            f"/job/{job_id}/stems/drums?format={secret}&key={secret}",
            f"/keys?api_key={secret}",
            f"/jobs?limit={secret}",
        ):
            for sent in (
                {},
                headers,
                {"Authorization": f"Bearer {secret}"},
                {"X-API-Key": secret},
                {"Authorization": secret, "Cookie": secret},
                {"X-Tenant": secret, "User-Agent": secret, "Referer": secret},
            ):
                body = f'{{"paths": ["/{secret}"]}}' if method == "POST" else None
                await gate.client.request(method, path, headers=sent, content=body)
        if secret != ADMIN_KEY:
            # No id of a request is as long as these.
            await gate.client.request(method, "/keys", headers={"X-Request-ID": secret})
        for path in (f"/keys/{secret}", f"/job/{secret}/events"):
            for sent in ({}, ADMIN, headers):
                await gate.client.request(method, path, headers=sent)
        audit = "\n".join(json.dumps(line) for line in lines(caplog))
        assert audit
        assert secret not in audit
        # The path of a request is in its own log, but neither query nor headers.
        others = [
            each.getMessage()
            for each in caplog.records
            if each.name.startswith(("serve_app", "deployments"))
            and f"/{secret}" not in each.getMessage()
        ]
        assert secret not in "\n".join(others)
        caplog.clear()
