"""Jobs as they change, without polling."""

import asyncio
import json
from dataclasses import dataclass
from math import inf
from typing import Any

import pytest

from serve_app.api.streams import Streams
from serve_app.stems.http.routers import events
from serve_app.stems.request import Stage
from tests.unit.server import Server, assert_problem

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Event:
    """One event of a stream, its comments left out."""

    id: str
    job: dict[str, Any]


def read(body: str) -> list[Event]:
    found = []
    for block in body.split("\n\n"):
        lines = dict(
            line.split(": ", 1) for line in block.splitlines() if line[0] != ":"
        )
        if "id" in lines:
            found.append(Event(lines["id"], json.loads(lines["data"])))
    return found


def follow(server: Server, job_id: str, last: str | None = None) -> "asyncio.Task[Any]":
    headers = {} if last is None else {"Last-Event-ID": last}
    return asyncio.create_task(
        server.client.get(f"/job/{job_id}/events", headers=headers)
    )


async def test_a_job_is_followed_to_its_end(server: Server, song: bytes) -> None:
    job_id = await server.separate(song)
    following = follow(server, job_id)
    await asyncio.sleep(0.5)
    server.clock.move(1)
    claim = server.claim()
    await asyncio.sleep(0.5)
    server.clock.move(1)
    server.store.report(claim, Stage.SEPARATE, 0.5)
    await asyncio.sleep(0.5)
    server.clock.move(1)
    server.store.fail(claim, "code", "It is damaged.")
    answer = await asyncio.wait_for(following, 10)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    told = [(e.job["status"], e.job["progress"]) for e in read(answer.text)]
    assert told == [
        ("pending", 0.0),
        ("processing", 0.0),
        ("processing", 50.0),
        ("failed", 50.0),
    ]
    last = read(answer.text)[-1]
    assert last.job == (await server.client.get(f"/job/{job_id}")).json()


async def test_a_job_that_is_over_is_told_once(server: Server, song: bytes) -> None:
    job_id = await server.separate(song)
    server.succeed({"drums": b"RIFF"})
    answer = await follow(server, job_id)
    (event,) = read(answer.text)
    assert event.job["status"] == "completed"
    # An EventSource comes back by itself until it gets this.
    again = await follow(server, job_id, event.id)
    assert (again.status_code, again.text) == (204, "")


async def test_who_comes_back_gets_what_was_missed(server: Server, song: bytes) -> None:
    job_id = await server.separate(song)
    known = server.store.get(job_id).updated_at.isoformat()
    following = follow(server, job_id, known)
    await asyncio.sleep(0.5)
    server.clock.move(1)
    server.store.fail(server.claim(), "code", "It is damaged.")
    first = read((await asyncio.wait_for(following, 10)).text)
    assert [event.job["status"] for event in first][-1] == "failed"
    missed = read((await follow(server, job_id, known)).text)
    assert missed == first[-1:]


@pytest.mark.parametrize("state", ["waiting", "running", "completed unseen"])
async def test_who_follows_a_job_that_is_deleted_is_told_that_it_is_cancelled(
    server: Server, song: bytes, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if it was completed so shortly before that nobody has seen that."""
    job_id = await server.separate(song)
    if state == "running":
        server.claim()
    following = follow(server, job_id)
    waiting = asyncio.create_task(server.client.get(f"/job/{job_id}?wait=30"))
    await asyncio.sleep(0.5)
    if state == "completed unseen":
        monkeypatch.setattr(server.store, "find", lambda job_ids: {})
        server.succeed({"drums": b"RIFF"})
    await server.client.delete(f"/job/{job_id}")
    told = read((await asyncio.wait_for(following, 10)).text)
    assert [event.job["status"] for event in told][-1] == "cancelled"
    answer = await asyncio.wait_for(waiting, 10)
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    again = await follow(server, job_id, told[-1].id)
    assert_problem(again, 404, "job_not_found")


async def test_a_silent_stream_is_kept_alive(
    server: Server, song: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "KEEPALIVE_SECONDS", 0.1)
    job_id = await server.separate(song)
    following = follow(server, job_id)
    await asyncio.sleep(1)
    server.clock.move(1)
    server.store.cancel(job_id)
    body = (await asyncio.wait_for(following, 10)).text
    assert body.count("\n:") >= 2


async def followed(
    server: Server, streams: Streams, job_id: str, last: str | None = None
) -> str:
    """Return the events of a job that ends them early."""
    headers = {} if last is None else {"Last-Event-ID": last}
    async with server.with_services(streams=streams) as client:
        url = f"/job/{job_id}/events"
        answer = await asyncio.wait_for(client.get(url, headers=headers), 30)
    assert answer.status_code == 200
    return answer.text


@pytest.mark.parametrize("reason", ["age", "drain"])
async def test_a_stream_that_ends_early_asks_its_client_to_come_back(
    server: Server, song: bytes, reason: str
) -> None:
    job_id = await server.separate(song)
    streams = Streams(0.3 if reason == "age" else inf, lambda: 0.42)
    if reason == "drain":
        asyncio.get_running_loop().call_later(0.3, streams.drain)
    body = await followed(server, streams, job_id)
    assert body.startswith("retry: 1000\n\n")
    assert body.endswith(": reconnect\nretry: 84\n\n")
    (seen,) = read(body)
    # Nothing has changed meanwhile, so nothing is told again.
    assert read(await followed(server, Streams(0.1), job_id, seen.id)) == []
    server.clock.move(1)
    server.claim()
    (missed,) = read(await followed(server, Streams(0.1), job_id, seen.id))
    assert missed.job["status"] == "processing"


async def test_a_replica_that_stops_tells_at_least_the_present_state(
    server: Server, song: bytes
) -> None:
    job_id = await server.separate(song)
    streams = Streams()
    streams.drain()
    (event,) = read(await followed(server, streams, job_id))
    assert event.job["status"] == "pending"


async def test_a_job_that_is_not_there_has_no_events(server: Server) -> None:
    answer = await server.client.get(f"/job/{'a' * 32}/events")
    assert_problem(answer, 404, "job_not_found")
