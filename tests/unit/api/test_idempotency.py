"""Requests with the same Idempotency-Key act once."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from serve_app.api.idempotency import KEPT_SECONDS
from serve_app.idempotency.response import StoredResponse
from serve_app.idempotency.store import answers, keep
from tests.unit.server import LIMITS, Server, assert_problem, refuse_to_read

pytestmark = pytest.mark.anyio

KEY = {"Idempotency-Key": "5b0c1f7e-8f0e-4e57-9d53-1f4f9e1c7a11"}


async def send(
    server: Server, song: bytes, key: dict[str, str] = KEY, **fields: str
) -> httpx.Response:
    return await server.client.post(
        "/separate", files={"file": ("song.wav", song)}, data=fields, headers=key
    )


async def test_the_first_answer_is_given_again(server: Server, song: bytes) -> None:
    first = await send(server, song)
    again = await send(server, song)
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert len(server.store.listed("", 10)) == 1
    assert len(server.left_behind()) == 1


async def test_the_answer_outlives_the_job(server: Server, song: bytes) -> None:
    first = (await send(server, song)).json()
    server.succeed({"drums": b"RIFF"})
    await server.client.delete(f"/job/{first['job_id']}")
    assert (await send(server, song)).json() == first
    assert server.store.listed("", 10) == []


async def test_a_host_that_one_client_makes_up_does_not_reach_another(
    server: Server, song: bytes
) -> None:
    async def sent_to(host: str) -> httpx.Response:
        return await send(server, song, {**KEY, "Host": host})

    first, again = await sent_to("evil.example"), await sent_to("good.example:8000")
    assert first.json()["status_url"].startswith("http://evil.example/job/")
    assert again.headers["idempotent-replayed"] == "true"
    job_id = first.json()["job_id"]
    url = f"http://good.example:8000/job/{job_id}"
    assert again.json()["status_url"] == again.headers["location"] == url
    assert "evil" not in again.text + str(again.headers)
    assert again.headers["cache-control"] == "no-store"


async def test_twins_at_once_get_their_own_hosts(server: Server, song: bytes) -> None:
    hosts = [f"host-{number}.example" for number in range(4)]
    answers = await asyncio.gather(
        *(send(server, song, {**KEY, "Host": host}) for host in hosts)
    )
    for host, answer in zip(hosts, answers, strict=True):
        url = f"http://{host}/job/{answer.json()['job_id']}"
        assert answer.json()["status_url"] == answer.headers["location"] == url


async def test_what_an_earlier_version_kept_is_given_as_this_one_answers(
    server: Server, song: bytes
) -> None:
    """It answered 202, with paths, and said when a song had been separated before."""
    first = (await send(server, song)).json()
    job_id = first["job_id"]
    (kept,) = rows(server)
    old = {**kept.body, "status": "completed", "cache": "hit"}
    old |= {"status_url": f"/job/{job_id}", "hf_space_url": "https://old.example"}
    headers = {"Location": f"/job/{job_id}"}
    rewrite(server, replace(kept, status=202, headers=headers, body=old))
    async with server.with_services(public_url="https://stems.example") as client:
        again = await client.post(
            "/separate", files={"file": ("song.wav", song)}, headers=KEY
        )
    url = f"https://stems.example/job/{job_id}"
    assert (again.status_code, again.headers["location"]) == (200, url)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == {
        **first,
        "status_url": url,
        "hf_space_url": "https://stems.example",
        "cache": "hit",
    }


def rows(server: Server) -> list[StoredResponse]:
    with server.database.reading() as connection:
        return [
            StoredResponse(**row._asdict())
            for row in connection.execute(select(answers))
        ]


def rewrite(server: Server, answer: StoredResponse) -> None:
    with server.database.writing() as connection:
        keep(connection, answer)


async def test_nothing_that_is_kept_has_a_host_in_it(
    server: Server, song: bytes
) -> None:
    await send(server, song, {**KEY, "Host": "evil.example"})
    (kept,) = rows(server)
    assert "evil" not in json.dumps([kept.body, dict(kept.headers)])
    assert "http" not in json.dumps([kept.body, dict(kept.headers)])


@pytest.mark.parametrize("change", ["song", "name", "option"])
async def test_a_key_stands_for_one_request_only(
    server: Server, song: bytes, change: str
) -> None:
    await send(server, song)
    if change == "option":
        answer = await send(server, song, stems="bass")
    else:
        data = song[:-2] + b"ab" if change == "song" else song
        name = "other.wav" if change == "name" else "song.wav"
        answer = await server.client.post(
            "/separate", files={"file": (name, data)}, headers=KEY
        )
    detail = assert_problem(answer, 422, "idempotency_key_reused")
    assert "new key" in detail
    assert len(server.store.listed("", 10)) == 1
    assert len(server.left_behind()) == 1


async def test_twins_at_once_start_one_job(server: Server, song: bytes) -> None:
    answers = await asyncio.gather(*(send(server, song) for _ in range(4)))
    assert len({answer.json()["job_id"] for answer in answers}) == 1
    replayed = [answer.headers.get("idempotent-replayed") for answer in answers]
    assert sorted(replayed, key=str) == [None, "true", "true", "true"]
    assert len(server.store.listed("", 10)) == 1
    assert len(server.left_behind()) == 1


async def test_what_failed_may_be_tried_again_under_its_key(
    server: Server, song: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_problem(await send(server, b"no song"), 422, "unreadable_audio")
    assert (await send(server, song)).status_code == 200


async def test_an_answer_is_kept_for_a_day(server: Server, song: bytes) -> None:
    first = (await send(server, song)).json()["job_id"]
    server.clock.move(KEPT_SECONDS - 1)
    assert (await send(server, song)).json()["job_id"] == first
    server.clock.move(1)
    assert (await send(server, song)).json()["job_id"] != first


async def test_a_full_queue_is_no_reason_to_forget(server: Server, song: bytes) -> None:
    first = await send(server, song)
    for _ in range(LIMITS.max_queued_jobs - 1):
        await server.separate(song)
    assert (await send(server, song)).json() == first.json()
    fresh = await send(server, song, {"Idempotency-Key": "other"})
    assert_problem(fresh, 429, "queue_full")


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "caf\u00e9"])
async def test_a_key_that_is_none_is_refused(
    server: Server, song: bytes, key: str
) -> None:
    header: Any = {"Idempotency-Key": key.encode()}
    answer = await send(server, song, header)
    assert "UUID" in assert_problem(answer, 400, "bad_request")
    assert server.left_behind() == []


async def test_the_same_key_of_another_tenant_is_another_key(
    server: Server, song: bytes
) -> None:
    client = server.with_services(tenant_header="X-Tenant")
    ids = set()
    for tenant in ("a", "b", "a"):
        answer = await client.post(
            "/separate",
            files={"file": ("song.wav", song)},
            headers={**KEY, "X-Tenant": tenant},
        )
        ids.add(answer.json()["job_id"])
    assert len(ids) == 2


async def test_without_a_key_a_full_queue_refuses_before_it_reads(
    server: Server, song: bytes
) -> None:
    for _ in range(LIMITS.max_queued_jobs):
        await server.separate(song)
    assert await server.post_raw("/separate", {}, refuse_to_read) == 429


async def test_a_lost_answer_is_found_again(
    server: Server, song: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database answers too late: the job is there, its client does not know."""
    add = server.store.add

    def fail_late(*args: Any, **more: Any) -> None:
        add(*args, **more)
        raise ConnectionError("cut off")

    monkeypatch.setattr(server.store, "add", fail_late)
    assert (await send(server, song)).status_code == 500
    monkeypatch.setattr(server.store, "add", add)
    (job,) = server.store.listed("", 10)
    assert (await send(server, song)).json()["job_id"] == job.id


async def test_a_song_that_lies_elsewhere_is_not_fetched_again(
    server: Server, song: bytes
) -> None:
    fetched: list[str] = []

    def fetch(url: str, path: Path, is_wanted: Callable[[], bool]) -> str:
        fetched.append(url)
        path.write_bytes(song)
        return "song.wav"

    client = server.with_services(fetch=fetch)
    body = {"url": "https://example.com/song.wav", "stems": ["bass"]}
    first = await client.post("/separate", json=body, headers=KEY)
    again = await client.post("/separate", json=body, headers=KEY)
    assert (first.status_code, again.json()) == (200, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    assert fetched == [body["url"]]
    other = await client.post("/separate", json={**body, "stems": "drums"}, headers=KEY)
    assert_problem(other, 422, "idempotency_key_reused")
    assert len(server.store.listed("", 10)) == 1
