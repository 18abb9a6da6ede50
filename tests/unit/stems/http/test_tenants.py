"""Tenants can't find each other's jobs, files or uploads."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi.routing import iter_route_contexts

from serve_app.stems.request import Stage
from serve_app.storage.addresses import Bucket
from serve_app.storage.s3 import S3Storage
from serve_app.storage.uploads import S3Uploads
from tests.s3 import S3Server
from tests.unit.pools import StoredReports
from tests.unit.server import Server, assert_problem

pytestmark = pytest.mark.anyio

HEADER = "X-Tenant"
OWNER, OTHER = {HEADER: "acme"}, {HEADER: "globex"}
STEMS = {name: name.encode() for name in ("drums", "bass", "other", "vocals")}
WEBHOOK = "https://example.com/hook"
RANGE = {"Range": "bytes=0-1"}

# What is no one's: probes ask for it, and browsers that read the documentation.
OPEN_PATHS = (
    *("/", "/ping", "/livez", "/readyz", "/health", "/config"),
    *("/models", "/docs", "/openapi.json"),
)
OPEN = {
    *((method, path) for method in ("GET", "HEAD") for path in OPEN_PATHS),
    ("GET", "/docs/assets"),
}
# What makes something, and what lists it.
MAKERS = {("POST", "/separate"), ("POST", "/analyze"), ("POST", "/uploads")}
LISTS = {("GET", "/jobs"), ("HEAD", "/jobs")}


@dataclass(frozen=True)
class Call:
    """A call that names something: by its path, or by the JSON in its body."""

    method: str
    path: str
    query: str = ""
    json: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        more = [self.query, *(self.json or ()), *self.headers]
        return " ".join((self.method, self.path, *filter(None, more)))


_JOB, _STEM = "/job/{job_id}", "/job/{job_id}/stems/{stem_name}"
_REPLAY = "/job/{job_id}/deliveries/{delivery_id}/replay"
_UPLOAD = {"upload_id": "{upload_id}"}
_GAINS: Mapping[str, Any] = {"gains": {"drums": 1.0}}
OF_JOBS = [
    Call("GET", _JOB),
    Call("GET", _JOB, "?wait=5"),
    Call("HEAD", _JOB),
    Call("GET", f"{_JOB}/events"),
    Call("GET", f"{_JOB}/events", headers={"Last-Event-ID": "2026"}),
    Call("GET", _STEM),
    Call("GET", _STEM, "?follow=true"),
    Call("GET", _STEM, headers=RANGE),
    Call("GET", _STEM, headers={"If-None-Match": "*"}),
    Call("HEAD", _STEM),
    Call("GET", f"{_JOB}/analysis"),
    Call("GET", f"{_JOB}/analysis", "?stem=drums"),
    Call("GET", f"{_JOB}/waveform"),
    Call("GET", f"{_JOB}/waveform", "?stem=drums"),
    Call("GET", f"{_JOB}/export", "?format=cue"),
    Call("GET", f"{_JOB}/export", "?format=cue", headers=RANGE),
    Call("GET", f"{_JOB}/export", "?format=cue", headers={"If-None-Match": "*"}),
    Call("HEAD", f"{_JOB}/analysis"),
    Call("HEAD", f"{_JOB}/waveform"),
    Call("HEAD", f"{_JOB}/export", "?format=cue"),
    Call("GET", f"{_JOB}/stems.zip"),
    Call("GET", f"{_JOB}/stems.zip", headers=RANGE),
    Call("HEAD", f"{_JOB}/stems.zip"),
    Call("POST", f"{_JOB}/mix", json=_GAINS),
    Call("GET", f"{_JOB}/mix/{{mix_id}}"),
    Call("GET", f"{_JOB}/mix/{{mix_id}}", headers=RANGE),
    Call("HEAD", f"{_JOB}/mix/{{mix_id}}"),
    Call("GET", f"{_JOB}/deliveries"),
    Call("POST", _REPLAY),
    Call("POST", _REPLAY, headers={"Idempotency-Key": "one"}),
    Call("DELETE", _JOB),
]
_ANALYSIS = "/analyze/{job_id}"
OF_ANALYSES = [
    Call("GET", _ANALYSIS),
    Call("GET", _ANALYSIS, "?wait=5"),
    Call("HEAD", _ANALYSIS),
    Call("DELETE", _ANALYSIS),
]
OF_UPLOADS = [
    Call("POST", "/separate", json=_UPLOAD),
    Call("POST", "/separate", json=_UPLOAD, headers={"Idempotency-Key": "one"}),
    Call("POST", "/analyze", json=_UPLOAD),
    Call("POST", "/analyze", "?async=true", json=_UPLOAD),
    Call("DELETE", "/uploads/{upload_id}"),
]


@pytest.fixture
def bucket(s3: S3Server) -> Iterator[Bucket]:
    with s3.new_bucket() as bucket:
        yield bucket


@pytest.fixture
async def client(server: Server, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    analyses = StoredReports(server.storage, tmp_path)
    async with server.with_services(tenant_header=HEADER, analyses=analyses) as client:
        yield client


@pytest.fixture
async def uploader(server: Server, bucket: Bucket) -> AsyncIterator[httpx.AsyncClient]:
    uploads = S3Uploads(bucket, 60)
    async with server.with_services(tenant_header=HEADER, uploads=uploads) as client:
        yield client


async def made_job(
    server: Server, client: httpx.AsyncClient, song: bytes, state: str
) -> dict[str, str]:
    """Have the owner make a job and bring it to `state`; return what names it."""
    answer = await client.post(
        "/separate",
        files={"file": ("secret.wav", song)},
        data={"webhook_url": WEBHOOK},
        headers=OWNER,
    )
    job_id, delivery_id = answer.json()["job_id"], f"msg_{uuid4().hex}"
    mix_id = uuid4().hex
    if state == "running":
        server.store.report(server.claim(), Stage.SEPARATE, 0.5)
    if state == "succeeded":
        server.succeed(STEMS)
        (delivery,) = server.outbox.of_job(job_id)
        delivery_id = delivery.id
        mixed = await client.post(f"/job/{job_id}/mix", json=_GAINS, headers=OWNER)
        mix_id = mixed.json()["download_url"].rpartition("/")[2]
    return {
        **{"job_id": job_id, "stem_name": "drums"},
        **{"delivery_id": delivery_id, "mix_id": mix_id},
    }


async def sent_upload(client: httpx.AsyncClient, song: bytes) -> dict[str, str]:
    """Have the owner send a file to the store; return what names it."""
    new = {"filename": "secret.wav", "size_bytes": len(song)}
    offer = (await client.post("/uploads", json=new, headers=OWNER)).json()
    (part,) = offer["parts"]
    async with httpx.AsyncClient() as browser:
        (await browser.put(part["url"], content=song)).raise_for_status()
    return {"upload_id": offer["upload_id"]}


async def answer_to(
    client: httpx.AsyncClient,
    call: Call,
    names: Mapping[str, str],
    tenant: Mapping[str, str],
) -> httpx.Response:
    body = {
        name: value.format(**names) if isinstance(value, str) else value
        for name, value in (call.json or {}).items()
    }
    asked = client.request(
        call.method,
        call.path.format(**names) + call.query,
        json=body or None,
        headers={**call.headers, **tenant},
    )
    # A stream of what is another's has no end here.
    return await asyncio.wait_for(asked, 10)


def told(answer: httpx.Response) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Return all that an answer says but which request it answers."""
    headers = dict(answer.headers)
    del headers["x-request-id"]
    body = answer.json() if answer.content else {}
    body.pop("instance", None)
    return answer.status_code, headers, body


def unknown(names: Mapping[str, str]) -> dict[str, str]:
    """Return names of the same form, of what nobody has."""
    return {**names, **{name: uuid4().hex for name in names if name.endswith("_id")}}


@pytest.mark.parametrize("state", ["queued", "running", "succeeded"])
@pytest.mark.parametrize("call", OF_JOBS, ids=str)
async def test_another_s_job_is_as_unknown_as_one_that_is_not_there(
    server: Server, client: httpx.AsyncClient, song: bytes, call: Call, state: str
) -> None:
    names = await made_job(server, client, song, state)
    before = server.store.get(names["job_id"])
    answer = await answer_to(client, call, names, OTHER)
    assert answer.status_code == 404
    assert told(answer) == told(await answer_to(client, call, unknown(names), OTHER))
    assert server.store.get(names["job_id"]) == before
    assert server.pools.stopped == []
    assert server.pools.heard == []


@pytest.mark.parametrize("call", OF_JOBS, ids=str)
async def test_owners_have_their_jobs(
    server: Server, client: httpx.AsyncClient, song: bytes, call: Call
) -> None:
    names = await made_job(server, client, song, "succeeded")
    answer = await answer_to(client, call, names, OWNER)
    assert answer.is_success or answer.status_code == 304, answer.text


@pytest.mark.parametrize("call", OF_ANALYSES, ids=str)
async def test_another_s_analysis_is_as_unknown_as_one_that_is_not_there(
    server: Server, client: httpx.AsyncClient, song: bytes, call: Call
) -> None:
    answer = await client.post(
        "/analyze?async=true", files={"file": ("secret.wav", song)}, headers=OWNER
    )
    names = {"job_id": answer.json()["job_id"]}
    before = server.analyses.get(names["job_id"])
    theirs = await answer_to(client, call, names, OTHER)
    assert theirs.status_code == 404
    assert told(theirs) == told(await answer_to(client, call, unknown(names), OTHER))
    assert server.analyses.get(names["job_id"]) == before
    assert server.pools.stopped == []
    server.analyze()
    assert (await answer_to(client, call, names, OWNER)).is_success


@pytest.mark.parametrize("call", OF_UPLOADS, ids=str)
async def test_another_s_upload_is_as_unknown_as_one_that_is_not_there(
    uploader: httpx.AsyncClient, bucket: Bucket, song: bytes, call: Call
) -> None:
    """Nor can anyone use it up, or keep its owner from using it."""
    names = await sent_upload(uploader, song)
    answer = await answer_to(uploader, call, names, OTHER)
    assert answer.status_code == 404
    assert told(answer) == told(await answer_to(uploader, call, unknown(names), OTHER))
    assert (await answer_to(uploader, call, names, OWNER)).is_success
    assert list(S3Storage(bucket).list("")) == []


async def test_a_list_has_the_tenant_s_own_jobs_alone(
    server: Server, client: httpx.AsyncClient, song: bytes
) -> None:
    names = await made_job(server, client, song, "succeeded")
    for method, path in LISTS:
        theirs = await client.request(method, path, headers=OTHER)
        empty = await client.request(method, path, headers={HEADER: "nobody"})
        assert theirs.status_code == 200
        assert told(theirs) == told(empty)
    own = (await client.get("/jobs", headers=OWNER)).json()
    assert [job["job_id"] for job in own["jobs"]] == [names["job_id"]]


@pytest.mark.parametrize("path", ["/health", "/config", "/models", "/"])
async def test_what_is_open_names_nobody_s_jobs(
    server: Server, client: httpx.AsyncClient, song: bytes, path: str
) -> None:
    names = await made_job(server, client, song, "running")
    answer = await client.get(path)
    assert answer.status_code == 200
    for secret in (names["job_id"], "secret", *OWNER.values()):
        assert secret not in answer.text


async def test_an_answer_is_replayed_to_its_tenant_alone(
    server: Server, client: httpx.AsyncClient, song: bytes
) -> None:
    """However long the names are: they were cut once, and two could be one."""
    common, ids = "n" * 64, {}
    for name in (f"{common}a", f"{common}b", f"{common}a"):
        answer = await client.post(
            "/separate",
            files={"file": ("song.wav", song)},
            headers={HEADER: name, "Idempotency-Key": "one"},
        )
        is_known = name in ids
        assert ("idempotent-replayed" in answer.headers) is is_known
        assert ids.setdefault(name, answer.json()["job_id"]) == answer.json()["job_id"]
    assert len(set(ids.values())) == 2
    for name, job_id in ids.items():
        listed = (await client.get("/jobs", headers={HEADER: name})).json()
        assert [job["job_id"] for job in listed["jobs"]] == [job_id]


async def test_a_job_from_before_there_were_tenants_is_nobody_s(
    server: Server, client: httpx.AsyncClient, song: bytes
) -> None:
    job_id = await server.separate(song)
    assert_problem(
        await client.get(f"/job/{job_id}", headers=OWNER), 404, "job_not_found"
    )
    assert (await client.get("/jobs", headers=OWNER)).json()["count"] == 0


async def test_without_the_setting_all_clients_are_one(
    server: Server, song: bytes
) -> None:
    job_id = await server.separate(song)
    for headers in ({}, OWNER, OTHER):
        answer = await server.client.get(f"/job/{job_id}", headers=headers)
        assert answer.status_code == 200
        assert (await server.client.get("/jobs", headers=headers)).json()["count"] == 1


def routes(server: Server) -> set[tuple[str, str]]:
    """Return method and path of all that the application serves."""
    return {
        (method, str(route.path))
        for route in iter_route_contexts(server.app.routes)
        for method in route.methods or ("GET",)
    }


async def test_every_route_is_known_to_these_tests(server: Server) -> None:
    """A new one is open, or it has its calls above: `find_job` looks up jobs."""
    named = {(call.method, call.path) for call in (*OF_JOBS, *OF_ANALYSES, *OF_UPLOADS)}
    assert routes(server) == OPEN | MAKERS | LISTS | named


@pytest.mark.parametrize(
    "headers", [{}, {HEADER: ""}, [(HEADER, "acme"), (HEADER, "globex")]]
)
async def test_whoever_lacks_a_tenant_is_told_to_use_the_gateway(
    server: Server, client: httpx.AsyncClient, headers: Any
) -> None:
    for method, path in sorted(routes(server) - OPEN):
        answer = await client.request(method, path, headers=headers)
        if method == "HEAD":
            assert answer.status_code == 403
            continue
        detail = assert_problem(answer, 403, "tenant_required")
        assert HEADER in detail
        assert "gateway" in detail


async def test_probes_need_no_tenant(server: Server, client: httpx.AsyncClient) -> None:
    for method, path in sorted(OPEN - {("GET", "/docs/assets")}):
        assert (await client.request(method, path)).status_code == 200, path
