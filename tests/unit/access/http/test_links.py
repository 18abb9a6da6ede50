"""Links over HTTP: what they open, to whom, and until when."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from serve_app.access.http.door import AccessPolicy
from serve_app.api import door
from tests.unit.access.gate import ADMIN_KEY, Gate, uncached
from tests.unit.server import Server, assert_problem

pytestmark = pytest.mark.anyio

ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}
UNKNOWN = f"/job/{'0' * 32}"


@pytest.fixture
async def gate(server: Server) -> AsyncIterator[Gate]:
    async with uncached(server) as gate:
        yield gate


def query_of(url: str) -> str:
    return urlsplit(url).query


async def test_a_stem_opens_by_the_url_in_its_job(gate: Gate, song: bytes) -> None:
    _, headers = gate.key()
    job_id = await gate.separated(song, headers)
    url = await gate.stem_url(job_id, headers)
    whole = await gate.client.get(url)
    assert (whole.status_code, whole.content) == (200, b"drums" * 100)
    part = await gate.client.get(url, headers={"Range": "bytes=0-4"})
    assert (part.status_code, part.content) == (206, b"drums")
    known = {"If-None-Match": whole.headers["etag"]}
    assert (await gate.client.get(url, headers=known)).status_code == 304
    head = await gate.client.head(url)
    assert (head.status_code, head.headers["content-length"]) == (200, "500")


async def test_the_etag_and_caching_of_a_file_don_t_depend_on_the_link(
    gate: Gate, song: bytes
) -> None:
    _, headers = gate.key()
    job_id = await gate.separated(song, headers)
    url = await gate.stem_url(job_id, headers)
    by_link = await gate.client.get(url)
    by_key = await gate.client.get(urlsplit(url).path, headers=headers)
    assert by_link.headers["etag"] == by_key.headers["etag"]
    assert by_link.headers["cache-control"] == "private, no-cache"
    assert "Authorization" in by_link.headers["vary"]


async def test_urls_stay_the_same_while_a_job_is_polled(
    gate: Gate, song: bytes
) -> None:
    _, headers = gate.key()
    job_id = await gate.separated(song, headers)
    first = await gate.stem_url(job_id, headers)
    gate.server.clock.move(600)
    assert await gate.stem_url(job_id, headers) == first


async def test_a_link_is_not_valid_for_longer_than_its_job(
    gate: Gate, song: bytes
) -> None:
    _, headers = gate.key()
    job_id = await gate.separated(song, headers)
    url = await gate.stem_url(job_id, headers)
    gate.server.clock.move(1801)
    detail = assert_problem(await gate.client.get(url), 401, "unauthorized")
    assert "expired at" in detail


async def test_a_link_opens_its_own_path_only(gate: Gate, song: bytes) -> None:
    _, headers = gate.key()
    job_id = await gate.separated(song, headers)
    query = query_of(await gate.stem_url(job_id, headers))
    for path in (f"/job/{job_id}/stems/bass", f"/job/{job_id}", "/jobs"):
        answer = await gate.client.get(f"{path}?{query}")
        assert "for another path" in assert_problem(answer, 401, "unauthorized")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/separate"),
        ("DELETE", UNKNOWN),
        ("GET", "/whoami"),
        ("GET", "/keys"),
        ("POST", "/keys"),
        ("POST", "/links"),
    ],
)
async def test_links_open_nothing_but_reads_of_jobs(
    gate: Gate, method: str, path: str
) -> None:
    target = gate.links.signed(path, "acme", "admin").target
    answer = await gate.client.request(method, target)
    detail = assert_problem(answer, 401, "unauthorized")
    assert "Links open only GET and HEAD requests" in detail


@pytest.mark.parametrize("token", ["token=", "token=AAAA", "token=a&token=b"])
async def test_what_is_no_token_opens_nothing(gate: Gate, token: str) -> None:
    answer = await gate.client.get(f"{UNKNOWN}?{token}")
    detail = assert_problem(answer, 401, "unauthorized")
    assert "link" in detail
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


async def test_a_header_counts_before_a_link(gate: Gate, song: bytes) -> None:
    _, headers = gate.key()
    _, others = gate.key(tenant="globex")
    job_id = await gate.separated(song, headers)
    url = await gate.stem_url(job_id, headers)
    assert_problem(await gate.client.get(url, headers=others), 404, "job_not_found")
    for wrong in ({"Authorization": "Bearer x"}, {"X-API-Key": "x"}):
        answer = await gate.client.get(url, headers=wrong)
        assert_problem(answer, 401, "unauthorized")


async def test_a_link_is_for_the_tenant_that_made_it(gate: Gate, song: bytes) -> None:
    _, headers = gate.key()
    _, others = gate.key(tenant="globex")
    job_id = await gate.separated(song, headers)
    url = await gate.linked(f"/job/{job_id}", others)
    assert_problem(await gate.client.get(url), 404, "job_not_found")


async def test_a_tenant_with_a_long_name_has_links_too(gate: Gate, song: bytes) -> None:
    _, headers = gate.key(tenant="a tenant's name with spaces")
    job_id = await gate.separated(song, headers)
    answer = await gate.client.get(await gate.stem_url(job_id, headers))
    assert answer.status_code == 200


async def test_links_end_with_the_key_that_made_them(gate: Gate, song: bytes) -> None:
    key, headers = gate.key()
    job_id = await gate.separated(song, headers)
    url = await gate.stem_url(job_id, headers)
    assert (await gate.client.get(url)).status_code == 200
    gate.keys.revoke(key.id)
    detail = assert_problem(await gate.client.get(url), 401, "unauthorized")
    assert "key that made this link was revoked" in detail


async def test_a_stream_by_a_link_ends_with_the_key(
    gate: Gate, song: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "_RECHECK_SECONDS", 0.05)
    key, headers = gate.key()
    sent = await gate.client.post(
        "/separate", files={"file": ("song.wav", song)}, headers=headers
    )
    url = await gate.linked(f"/job/{sent.json()['job_id']}/events", headers)
    stream = asyncio.create_task(gate.client.get(url))
    await asyncio.sleep(0.3)
    assert not stream.done()
    gate.keys.revoke(key.id)
    await asyncio.wait_for(stream, 5)


async def test_events_by_a_link_have_links_that_end_with_it(
    gate: Gate, song: bytes
) -> None:
    _, headers = gate.key()
    job_id = await gate.separated(song, headers)
    events = await gate.linked(f"/job/{job_id}/events", headers)
    followed = await gate.client.get(events)
    assert followed.status_code == 200
    url = await gate.stem_url(job_id, headers)
    assert url in followed.text
    assert (await gate.client.get(url)).content == b"drums" * 100


async def test_links_made_with_a_link_end_no_later(gate: Gate, song: bytes) -> None:
    _, headers = gate.key()
    job_id = await gate.separated(song, headers)
    now, clock = gate.server.clock.now, gate.server.clock
    path = f"/job/{job_id}"
    clock.move(100)
    short = gate.links.signed(path, "acme", "admin", clock.now).target
    clock.now = now
    job = (await gate.client.get(short)).json()
    url = job["stems"]["drums"]["download_url"]
    assert (await gate.client.get(url)).status_code == 200
    clock.move(100)
    assert_problem(await gate.client.get(url), 401, "unauthorized")


async def test_a_request_makes_links_to_what_a_page_shows(
    gate: Gate, song: bytes
) -> None:
    _, headers = gate.key()
    job_id = await gate.separated(song, headers)
    paths = [f"/job/{job_id}/events", f"/job/{job_id}/stems/bass?follow=0", "/jobs"]
    made = await gate.client.post("/links", json={"paths": paths}, headers=headers)
    links = made.json()["links"]
    assert [link["path"] for link in links] == paths
    for link in links:
        assert link["expires_at"] == "2026-11-20T14:00:00Z"
        assert link["url"].startswith(f"http://server{link['path']}")
        assert (await gate.client.get(link["url"])).status_code == 200


@pytest.mark.parametrize(
    "paths",
    [
        [],
        ["/jobs"] * 101,
        ["/keys"],
        ["/whoami"],
        ["/health"],
        ["/separate"],
        ["/nowhere"],
        ["//other.example/jobs"],
        ["https://other.example/jobs"],
        ["/jobs?token=x"],
        ["/jobs?limit=1&token=x"],
        ["/jobs#a"],
        ["/jobs?a b"],
        ["/jobs", "/keys"],
        "/jobs",
        [None],
    ],
)
async def test_links_to_anything_else_are_refused(gate: Gate, paths: Any) -> None:
    _, headers = gate.key()
    made = await gate.client.post("/links", json={"paths": paths}, headers=headers)
    assert_problem(made, 422, "invalid_input")


async def test_a_link_needs_the_scope_of_its_path(gate: Gate) -> None:
    wanted = {"paths": ["/jobs"]}
    _, reader = gate.key("stems:read")
    made = await gate.client.post("/links", json=wanted, headers=reader)
    assert made.status_code == 200
    _, other = gate.key("images:read")
    refused = await gate.client.post("/links", json=wanted, headers=other)
    detail = assert_problem(refused, 403, "forbidden")
    assert "stems:read" in detail
    _, writer = gate.key("stems:write")
    refused = await gate.client.post("/links", json=wanted, headers=writer)
    assert_problem(refused, 403, "forbidden")


async def test_where_access_is_open_urls_have_no_token(
    server: Server, song: bytes
) -> None:
    async with uncached(server, AccessPolicy(is_required=False)) as gate:
        job_id = await gate.separated(song, {})
        url = await gate.stem_url(job_id, {})
        assert url == f"http://server/job/{job_id}/stems/drums"
        made = await gate.client.post("/links", json={"paths": ["/jobs"]})
        link = {"path": "/jobs", "url": "http://server/jobs", "expires_at": None}
        assert made.json() == {"links": [link]}
        assert (await gate.client.get(url)).status_code == 200


async def test_a_system_without_access_control_ignores_a_token(
    server: Server, song: bytes
) -> None:
    job_id = await server.separate(song)
    answer = await server.client.get(f"/job/{job_id}?token=anything&token=again")
    assert answer.status_code == 200
    assert "token" not in answer.text


async def test_a_gateway_may_not_use_a_link_for_another_tenant(
    server: Server, song: bytes
) -> None:
    policy = AccessPolicy(is_required=True, tenant_header="X-Tenant")
    async with uncached(server, policy) as gate:
        _, headers = gate.key(tenant="*")
        ours = {**headers, "X-Tenant": "acme"}
        job_id = await gate.separated(song, ours)
        url = await gate.stem_url(job_id, ours)
        assert (await gate.client.get(url)).status_code == 200
        own = await gate.client.get(url, headers={"X-Tenant": "acme"})
        assert own.status_code == 200
        other = await gate.client.get(url, headers={"X-Tenant": "globex"})
        assert_problem(other, 403, "forbidden")


async def test_an_operator_s_key_makes_links_to_jobs_without_a_tenant(
    gate: Gate, song: bytes
) -> None:
    job_id = await gate.separated(song, ADMIN)
    url = await gate.stem_url(job_id, ADMIN)
    assert "token=" in url
    assert (await gate.client.get(url)).status_code == 200


async def test_a_webhook_remembers_the_key_that_its_links_depend_on(
    gate: Gate, song: bytes
) -> None:
    key, headers = gate.key()
    job_id = await gate.separated(song, headers, webhook_url="https://example.com/hook")
    webhook = gate.server.store.get(job_id).request.webhook
    assert webhook is not None
    assert webhook.credential == f"key:{key.id}"
