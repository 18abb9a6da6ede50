import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from serve_app.api.streams import Streams
from serve_app.errors import QueueFull, StorageUnavailable, Unavailable
from serve_app.jobs.job import State
from serve_app.stems.request import SeparationJob, Stage
from serve_app.usage.quotas import Quotas
from tests.unit.server import (
    INFOS,
    LIMITS,
    Server,
    assert_problem,
    refuse_to_read,
)

pytestmark = pytest.mark.anyio

STEMS = {name: f"RIFF {name}".encode() for name in INFOS[0].sources}
BAD_IDS = [
    "0" * 32,
    "..%2F..%2F..%2Fetc%2Fpasswd",
    "%2e%2e",
    "F" * 32,
    "0" * 31,
    "%00",
    "a'%20OR%201=1",
    "x" * 5000,
]


async def test_a_song_is_accepted_at_once(server: Server, song: bytes) -> None:
    answer = await server.client.post("/separate", files={"file": ("노래.wav", song)})
    assert answer.status_code == 200
    accepted = answer.json()
    job_id = accepted["job_id"]
    assert accepted == {
        "success": True,
        "job_id": job_id,
        "status": "pending",
        "message": f"Separation started. Poll /job/{job_id} for its progress.",
        "filename": "노래.wav",
        "size_bytes": len(song),
        "duration": 1.0,
        "model": "demo",
        "stems": ["drums", "bass", "other", "vocals"],
        "format": "wav",
        "status_url": f"http://server/job/{job_id}",
        "hf_space_url": "",
    }
    assert answer.headers["location"] == f"http://server/job/{job_id}"


async def test_a_long_poll_is_answered_once_the_job_is_over(
    server: Server, song: bytes
) -> None:
    job_id = await server.separate(song)
    asked = asyncio.create_task(server.client.get(f"/job/{job_id}?wait=60"))
    await asyncio.sleep(0.5)
    assert not asked.done()
    server.succeed(STEMS)
    answer = await asyncio.wait_for(asked, 5)
    assert answer.json()["status"] == "completed"


async def test_a_long_poll_says_how_far_the_job_is_when_its_time_is_up(
    server: Server, song: bytes
) -> None:
    job_id = await server.separate(song)
    answer = await server.client.get(f"/job/{job_id}?wait=0.3")
    assert answer.json()["status"] == "pending"


async def test_a_wait_ends_at_once_when_its_replica_is_stopped(
    server: Server, song: bytes
) -> None:
    """With the present state; one that begins then does not wait at all."""
    job_id = await server.separate(song)
    # A wait is short: it does not end by age.
    streams = Streams(0.1)
    async with server.with_services(streams=streams) as client:
        asked = asyncio.create_task(client.get(f"/job/{job_id}?wait=60"))
        await asyncio.sleep(0.5)
        assert not asked.done()
        server.claim()
        await asyncio.sleep(0.5)
        streams.drain()
        for answer in (
            await asyncio.wait_for(asked, 2),
            await asyncio.wait_for(client.get(f"/job/{job_id}?wait=60"), 2),
        ):
            assert (answer.status_code, answer.json()["status"]) == (200, "processing")


@pytest.mark.parametrize("wait", ["-1", "61", "soon", "nan"])
async def test_a_wait_that_cannot_be_is_refused(server: Server, wait: str) -> None:
    assert_problem(
        await server.client.get(f"/job/{'a' * 32}?wait={wait}"), 422, "invalid_input"
    )


async def test_an_accepted_song_is_stored_and_queued(
    server: Server, song: bytes
) -> None:
    job_id = await server.separate(song, format="flac", stems="vocals,accompaniment")
    assert server.pools.woken == 1
    job = server.store.get(job_id)
    assert job.state is State.QUEUED
    assert b"".join(server.storage.read(job.request.source.key)) == song
    assert job.request.source.key == f"originals/{job_id}"
    assert job.request.source.samples == 44_100
    assert job.request.source.deviation > 0.01
    assert job.request.options.format == "flac"
    assert job.request.options.stems == ("vocals", "accompaniment")
    assert list(server.working_dir.iterdir()) == []


async def test_a_job_shows_what_was_asked_for(server: Server, song: bytes) -> None:
    plain = await server.separate(song)
    chosen = await server.separate(
        song, format="flac", stems="vocals", priority="low", bpm_range="88-175.5"
    )
    options = [
        (await server.client.get(f"/job/{job_id}")).json()["options"]
        for job_id in (plain, chosen)
    ]
    assert "bpm_range" not in options[0]
    assert options[1] == {
        "model": "demo",
        "stems": ["vocals"],
        "format": "flac",
        "priority": "low",
        "bpm_range": [88.0, 175.5],
    }


async def test_clients_are_sent_to_the_public_url_when_there_is_one(
    server: Server, song: bytes
) -> None:
    async with server.with_services(public_url="https://space.example") as client:
        answer = await client.post("/separate", files={"file": ("a.wav", song)})
    url = f"https://space.example/job/{answer.json()['job_id']}"
    assert answer.json()["hf_space_url"] == "https://space.example"
    assert answer.json()["status_url"] == answer.headers["location"] == url


@pytest.mark.parametrize(
    ("field", "value", "choices"),
    [
        ("model", "nope", "demo, duo"),
        ("stems", "piano", "drums, bass, other, vocals"),
        ("format", "aiff", "wav, wav24"),
    ],
)
async def test_an_unknown_option_is_refused_with_the_choices(
    server: Server, song: bytes, field: str, value: str, choices: str
) -> None:
    answer = await server.client.post(
        "/separate", files={"file": ("a.wav", song)}, data={field: value}
    )
    assert choices in assert_problem(answer, 422, "invalid_field")
    assert answer.json()["errors"][0]["loc"] == ["body", field]
    assert server.left_behind() == []


async def test_a_full_queue_says_when_to_come_back(server: Server, song: bytes) -> None:
    for _ in range(LIMITS.max_queued_jobs):
        await server.separate(song)
    before = server.left_behind()
    answer = await server.client.post("/separate", files={"file": ("a.wav", song)})
    assert "Try again in 15 seconds." in assert_problem(answer, 429, "queue_full")
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["retryable"] is True
    assert server.left_behind() == before
    assert await server.post_raw("/separate", {}, refuse_to_read) == 429
    server.claim()
    await server.separate(song)


async def test_a_job_that_cannot_be_queued_leaves_no_file(
    server: Server, song: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue may fill up while a song is on its way."""

    def refuse(*_: Any, quotas: Quotas) -> None:
        raise QueueFull("Try again.", 7)

    monkeypatch.setattr(server.store, "add", refuse)
    answer = await server.client.post("/separate", files={"file": ("a.wav", song)})
    assert_problem(answer, 429, "queue_full")
    assert server.left_behind() == []


async def test_a_song_stays_while_nobody_knows_whether_it_was_queued(
    server: Server, song: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database may fail after it has written; the sweep of orphans decides."""
    add = server.store.add

    def fail_late(*args: Any, quotas: Quotas) -> None:
        add(*args, quotas)
        raise Unavailable("The database is away.")

    monkeypatch.setattr(server.store, "add", fail_late)
    answer = await server.client.post("/separate", files={"file": ("a.wav", song)})
    assert_problem(answer, 503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0
    (job,) = server.store.listed("", 10)
    assert server.storage.stat(job.request.source.key).size_bytes == len(song)


async def test_a_song_that_cannot_be_stored_is_not_queued(
    server: Server, song: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(key: str, path: Any) -> None:
        raise StorageUnavailable("The store is full.")

    monkeypatch.setattr(server.storage, "put", refuse)
    answer = await server.client.post("/separate", files={"file": ("a.wav", song)})
    assert_problem(answer, 503, "storage_unavailable")
    assert server.store.listed("", 10) == []
    assert server.left_behind() == []


async def test_jobs_may_be_asked_about_by_head(server: Server, song: bytes) -> None:
    for path in (f"/job/{await server.separate(song)}", "/jobs"):
        head = await server.client.head(path)
        assert (head.status_code, head.content) == (200, b"")
    assert (await server.client.head("/job/unknown")).status_code == 404


async def read(server: Server, job_id: str) -> Mapping[str, Any]:
    answer = await server.client.get(f"/job/{job_id}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    view: Mapping[str, Any] = answer.json()
    assert {"job_id", "progress", "filename", "created_at", "updated_at"} <= set(view)
    return view


async def test_a_job_tells_how_far_it_is(server: Server, song: bytes) -> None:
    job_id = await server.separate(song)
    view = await read(server, job_id)
    assert (view["status"], view["progress"]) == ("pending", 0)
    assert (view["model"], view["format"]) == ("demo", "wav")
    assert "stage" not in view

    server.clock.move(5)
    claim = server.claim()
    server.store.report(claim, Stage.SEPARATE, 0.4167)
    view = await read(server, job_id)
    assert (view["status"], view["progress"]) == ("processing", 41.7)
    assert view["stage"] == "separate"
    created, updated = (
        datetime.fromisoformat(view[name]) for name in ("created_at", "updated_at")
    )
    assert created.utcoffset() == timedelta(0)
    assert updated - created == timedelta(seconds=5)
    assert "stems" not in view
    assert "error" not in view


async def test_a_completed_job_lists_its_stems(server: Server, song: bytes) -> None:
    job_id = await server.separate(song)
    server.succeed(STEMS)
    view = await read(server, job_id)
    assert (view["status"], view["progress"]) == ("completed", 100)
    assert set(view["stems"]) == {"drums", "bass", "other", "vocals"}
    drums = view["stems"]["drums"]
    assert drums["filename"] == "song_drums.wav"
    assert drums["size"] == len(STEMS["drums"])
    assert drums["download_url"] == f"http://server/job/{job_id}/stems/drums"
    assert drums["media_type"] == "audio/wav"
    assert view["gain"] == 0.5
    assert view["analysis"] == {"bpm": 124.0, "key": "C# minor"}
    assert view["expires_at"] == "2026-11-20T12:30:00Z"


async def test_a_failed_job_says_why(server: Server, song: bytes) -> None:
    job_id = await server.separate(song)
    server.store.fail(server.claim(), "too_odd", "The song is too odd.")
    view = await read(server, job_id)
    assert view["status"] == "failed"
    assert view["error"] == "The song is too odd."
    assert view["error_code"] == "too_odd"


@pytest.mark.parametrize("job_id", BAD_IDS)
@pytest.mark.parametrize("path", ["/job/{}", "/job/{}/stems/drums"])
async def test_an_unknown_job_is_not_found(
    server: Server, path: str, job_id: str
) -> None:
    answer = await server.client.get(path.format(job_id))
    assert answer.status_code == 404
    assert_problem(answer, 404, answer.json()["code"])


@pytest.mark.parametrize("job_id", BAD_IDS)
async def test_an_unknown_job_cannot_be_deleted(server: Server, job_id: str) -> None:
    answer = await server.client.delete(f"/job/{job_id}")
    assert_problem(answer, 404, answer.json()["code"])


async def test_an_expired_job_is_not_found(server: Server, song: bytes) -> None:
    """Also when nothing has swept it yet."""
    job_id = await server.separate(song)
    server.succeed(STEMS)
    server.clock.move(LIMITS.retention_seconds - 1)
    await read(server, job_id)
    server.clock.move(1)
    for path in (f"/job/{job_id}", f"/job/{job_id}/stems/drums"):
        answer = await server.client.get(path)
        assert "expired" in assert_problem(answer, 404, "job_not_found")
    assert (await server.client.get("/jobs")).json() == {"count": 0, "jobs": []}


async def assert_gone(server: Server, job_id: str) -> None:
    """Check that nothing of a deleted job can be seen any more."""
    for method, path in (
        *(("GET", ""), ("DELETE", ""), ("GET", "/events"), ("GET", "?wait=5")),
        *(("GET", "/stems/drums"), ("HEAD", "/stems/drums")),
        *(("GET", "/stems/drums?follow=1"), ("GET", "/deliveries")),
    ):
        answer = await server.client.request(method, f"/job/{job_id}{path}")
        assert answer.status_code == 404, (method, path)
    jobs = (await server.client.get("/jobs")).json()["jobs"]
    assert job_id not in [job["job_id"] for job in jobs]


async def test_a_waiting_job_is_cancelled_and_its_song_deleted(
    server: Server, song: bytes
) -> None:
    job_id = await server.separate(song)
    answer = await server.client.delete(f"/job/{job_id}")
    assert answer.status_code == 200
    assert answer.json()["success"] is True
    assert answer.json()["message"]
    await assert_gone(server, job_id)
    assert server.left_behind() == []


async def test_a_running_job_is_cancelled_for_its_client_at_once(
    server: Server, song: bytes
) -> None:
    job_id = await server.separate(song)
    claim = server.claim()
    answer = await server.client.delete(f"/job/{job_id}")
    assert answer.json()["success"] is True
    await assert_gone(server, job_id)
    assert server.pools.stopped == [job_id]
    assert server.store.report(claim, Stage.SEPARATE, 0.5) is True
    server.store.release(claim)
    await assert_gone(server, job_id)
    assert server.left_behind() == []


async def test_a_finished_job_is_gone_once_deleted(server: Server, song: bytes) -> None:
    job_id = await server.separate(song)
    server.succeed(STEMS)
    answer = await server.client.delete(f"/job/{job_id}")
    assert answer.json()["success"] is True
    await assert_gone(server, job_id)
    assert server.left_behind() == []


async def test_a_job_that_ends_while_it_is_deleted_is_gone_too(
    server: Server, song: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await server.separate(song)
    cancel = server.store.cancel

    def end_first(job_id: str) -> SeparationJob:
        server.succeed(STEMS)
        return cancel(job_id)

    monkeypatch.setattr(server.store, "cancel", end_first)
    assert (await server.client.delete(f"/job/{job_id}")).status_code == 200
    await assert_gone(server, job_id)
    assert server.left_behind() == []


async def test_deleted_jobs_take_no_place_in_the_list(
    server: Server, song: bytes
) -> None:
    kept = await server.separate(song)
    server.clock.move(1)
    deleted = await server.separate(song)
    await server.client.delete(f"/job/{deleted}")
    listed = (await server.client.get("/jobs?limit=1")).json()
    assert [job["job_id"] for job in listed["jobs"]] == [kept]


async def test_deleting_one_job_leaves_the_others(server: Server, song: bytes) -> None:
    kept, deleted = await server.separate(song), await server.separate(song)
    await server.client.delete(f"/job/{deleted}")
    job = server.store.get(kept)
    assert job.state is State.QUEUED
    assert b"".join(server.storage.read(job.request.source.key)) == song


async def test_jobs_are_listed_newest_first(server: Server, song: bytes) -> None:
    ids = []
    for _ in range(3):
        ids.append(await server.separate(song))
        server.clock.move(1)
    listed = (await server.client.get("/jobs")).json()
    assert listed["count"] == 3
    assert [job["job_id"] for job in listed["jobs"]] == ids[::-1]
    assert listed["jobs"][2]["status"] == "pending"
    assert listed["jobs"][2]["filename"] == "song.wav"
    assert listed["jobs"][2]["created_at"] == "2026-11-20T12:00:00Z"
    listed = (await server.client.get("/jobs", params={"limit": 2})).json()
    assert listed["count"] == len(listed["jobs"]) == 2


@pytest.mark.parametrize("limit", ["0", "1001", "many"])
async def test_a_limit_that_is_none_is_refused_in_one_sentence(
    server: Server, limit: str
) -> None:
    answer = await server.client.get("/jobs", params={"limit": limit})
    assert '"limit" must be ' in assert_problem(answer, 422, "invalid_input")
    assert answer.json()["errors"][0]["loc"] == ["query", "limit"]


async def test_a_server_behind_a_prefix_points_to_itself(
    server: Server, song: bytes
) -> None:
    server.app.root_path = "/api"
    answer = await server.client.post("/api/separate", files={"file": ("a.wav", song)})
    url = f"http://server/api/job/{answer.json()['job_id']}"
    assert answer.headers["location"] == answer.json()["status_url"] == url
    server.succeed(STEMS)
    job = (await server.client.get(url)).json()
    assert job["stems"]["drums"]["download_url"] == f"{url}/stems/drums"
