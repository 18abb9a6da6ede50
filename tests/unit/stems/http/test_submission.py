"""A song that was separated before is not separated again."""

from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import soundfile

from serve_app.audio.facts import AudioFacts
from serve_app.jobs.job import State
from serve_app.stems.exports import tagging
from serve_app.stems.exports.tags import Tags
from serve_app.telemetry.tracing.traces import Traces
from tests.unit.server import INFOS, LIMITS, Server, assert_problem
from tests.unit.telemetry.tracing.spans import KeepingTracer

pytestmark = pytest.mark.anyio

STEMS = {name: f"RIFF {name}".encode() for name in INFOS[0].sources}


async def submit(
    server: Server,
    song: bytes,
    name: str = "song.wav",
    headers: Mapping[str, str] | None = None,
    **fields: str,
) -> dict[str, Any]:
    answer = await server.client.post(
        "/separate", files={"file": (name, song)}, data=fields, headers=headers
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_the_same_song_is_completed_at_once(server: Server, song: bytes) -> None:
    first = await submit(server, song)
    server.succeed(STEMS)
    server.clock.move(60)
    again = await submit(server, song, "other name.wav")
    # Old clients know no other status here; they find out by polling.
    assert (again["status"], again["cache"]) == ("pending", "hit")
    assert again["job_id"] != first["job_id"]
    assert server.pools.woken == 1
    job = (await server.client.get(f"/job/{again['job_id']}")).json()
    assert (job["status"], job["progress"], job["cache"]) == ("completed", 100.0, "hit")
    assert job["analysis"] == {"bpm": 124.0, "key": "C# minor"}
    assert job["filename"] == "other name.wav"
    for name, data in STEMS.items():
        assert job["stems"][name]["filename"] == f"other name_{name}.wav"
        answer = await server.client.get(job["stems"][name]["download_url"])
        assert answer.content == data
    assert "cache" not in (await server.client.get(f"/job/{first['job_id']}")).json()


async def test_each_job_lives_and_dies_for_itself(server: Server, song: bytes) -> None:
    first = (await submit(server, song))["job_id"]
    server.succeed(STEMS)
    second = (await submit(server, song))["job_id"]
    await server.client.delete(f"/job/{first}")
    url = f"/job/{second}/stems/drums"
    assert (await server.client.get(url)).content == STEMS["drums"]
    assert b"".join(server.storage.read(f"originals/{second}")) == song
    await server.client.delete(f"/job/{second}")
    assert server.left_behind() == []


async def test_the_same_file_is_not_even_decoded(server: Server, song: bytes) -> None:
    await submit(server, song)
    server.succeed(STEMS)

    def measure(*_: Any) -> AudioFacts:
        raise AssertionError("the song was decoded")

    client = server.with_services(measure=measure)
    answer = await client.post("/separate", files={"file": ("a.wav", song)})
    assert answer.json()["cache"] == "hit"


async def test_the_same_sound_in_another_file_is_known_too(
    server: Server, song: bytes
) -> None:
    wave, sample_rate = soundfile.read(BytesIO(song), dtype="int16")
    flac = BytesIO()
    soundfile.write(flac, wave, sample_rate, "PCM_16", format="FLAC")
    first = (await submit(server, song))["job_id"]
    server.succeed(STEMS)
    again = await submit(server, flac.getvalue(), "song.flac")
    assert again["cache"] == "hit"
    server.storage.delete(f"originals/{first}")
    # What is made of the song later is made of the file that was sent.
    source = server.store.get(again["job_id"]).request.source
    assert b"".join(server.storage.read(source.key)) == flac.getvalue()


async def test_the_same_sound_with_other_tags_gets_no_stems_with_those_of_another(
    server: Server, song: bytes, tmp_path: Path
) -> None:
    """A song has the stems of one with its tags, and none that tell of another's."""
    (tmp_path / "song.wav").write_bytes(song)

    def tagged(title: str, suffix: str = ".wav") -> bytes:
        source, target = tmp_path / f"song{suffix}", tmp_path / f"tagged{suffix}"
        tagging.write(source, target, Tags(title=title))
        return target.read_bytes()

    wave, sample_rate = soundfile.read(tmp_path / "song.wav", dtype="int16")
    soundfile.write(tmp_path / "song.flac", wave, sample_rate, "PCM_16")
    await submit(server, tagged("mine"))
    server.succeed(STEMS)
    for other in (tagged("yours"), song):
        again = await submit(server, other)
        assert "cache" not in again
        assert server.store.get(again["job_id"]).waits_for is None
    again = await submit(server, tagged("mine", ".flac"), "song.flac")
    assert again["cache"] == "hit"


@pytest.mark.parametrize(
    "change",
    [
        {"stems": "bass"},
        {"format": "flac"},
        {"bpm_range": "88-175"},
        {"model": "duo"},
        {"headers": {"Cache-Control": "no-cache"}},
    ],
)
async def test_what_is_not_the_same_is_made(
    server: Server, song: bytes, change: dict[str, Any]
) -> None:
    await submit(server, song)
    server.succeed(STEMS)
    again = await submit(server, song, **change)
    assert again["status"] == "pending"
    assert "cache" not in again
    assert server.store.get(again["job_id"]).waits_for is None


async def test_the_priority_makes_no_other_song(server: Server, song: bytes) -> None:
    await submit(server, song)
    server.succeed(STEMS)
    assert (await submit(server, song, priority="high"))["cache"] == "hit"


async def test_it_can_be_turned_off(server: Server, song: bytes) -> None:
    client = server.with_services(reuse=None)
    for _ in range(2):
        answer = await client.post("/separate", files={"file": ("a.wav", song)})
        job = server.store.get(answer.json()["job_id"])
        assert (job.same_input, job.same_work, job.waits_for) == (None, None, None)
        server.succeed(STEMS)


async def test_tenants_do_not_learn_of_each_others_songs(
    server: Server, song: bytes
) -> None:
    client = server.with_services(tenant_header="X-Tenant")
    for tenant in ("a", "b", "c"):
        answer = await client.post(
            "/separate",
            files={"file": ("song.wav", song)},
            headers={"X-Tenant": tenant},
        )
        assert "cache" not in answer.json()
        job = server.store.get(answer.json()["job_id"])
        assert (job.tenant, job.waits_for) == (tenant, None)
        server.succeed(STEMS)


async def test_what_has_expired_is_made_again(server: Server, song: bytes) -> None:
    await submit(server, song)
    server.succeed(STEMS)
    server.clock.move(LIMITS.retention_seconds)
    assert (await submit(server, song))["status"] == "pending"


@pytest.mark.parametrize("gone", ["stems/{}/1/other.wav", "originals/{}"])
async def test_a_job_whose_files_are_gone_is_made_again(
    server: Server, song: bytes, gone: str
) -> None:
    first = (await submit(server, song))["job_id"]
    server.succeed(STEMS)
    server.storage.delete(gone.format(first))
    again = await submit(server, song)
    assert (again["status"], again.get("cache")) == ("pending", None)
    assert not list(server.storage.list(f"stems/{again['job_id']}"))
    assert b"".join(server.storage.read(f"originals/{again['job_id']}")) == song


async def test_a_song_under_way_is_waited_for(server: Server, song: bytes) -> None:
    first = (await submit(server, song))["job_id"]
    claim = server.claim()
    second = (await submit(server, song, "again.wav"))["job_id"]
    job = server.store.get(second)
    assert (job.state, job.waits_for, claim.job_id) == (State.QUEUED, first, first)
    assert job.request.source.samples == server.store.get(first).request.source.samples


async def test_a_hit_finds_room_in_a_full_queue(server: Server, song: bytes) -> None:
    await submit(server, song)
    server.succeed(STEMS)
    for _ in range(LIMITS.max_queued_jobs):
        await submit(server, song, headers={"Cache-Control": "no-cache"})
    key = {"Idempotency-Key": "a"}
    assert (await submit(server, song, headers=key))["cache"] == "hit"


async def test_a_song_that_needs_more_disk_than_one_may_take_is_refused(
    server: Server, song: bytes
) -> None:
    limits = replace(LIMITS, max_job_disk_bytes=1_000_000)
    client = server.with_services(limits=limits)
    answer = await client.post("/separate", files={"file": ("a.wav", song)})
    detail = assert_problem(answer, 413, "audio_too_long")
    assert "0.0 GiB of disk, but the limit for a song is 0.0 GiB" in detail
    assert server.left_behind() == []


async def test_the_disk_of_a_job_and_of_a_client_is_shown_while_it_is_needed(
    server: Server, song: bytes
) -> None:
    client, limits = server.client, (await server.client.get("/config")).json()
    jobs = [await server.separate(song) for _ in range(2)]
    needed = (await client.get(f"/job/{jobs[0]}")).json()["disk_bytes"]
    assert len(song) < needed < limits["max_job_disk_bytes"]
    assert (await client.get("/jobs")).json()["disk_bytes"] == 2 * needed
    assert 2 * needed < limits["max_client_disk_bytes"]
    for job in jobs:
        await client.delete(f"/job/{job}")
    assert "disk_bytes" not in (await client.get("/jobs")).json()


async def test_a_client_that_has_its_share_of_the_queue_is_told_before_it_uploads(
    server: Server, song: bytes
) -> None:
    limits = replace(LIMITS, client_queue_share=0.3)
    client = server.with_services(limits=limits)
    headers = {"Cache-Control": "no-cache"}
    answers = [
        await client.post("/separate", files={"file": ("a.wav", song)}, headers=headers)
        for _ in range(2)
    ]
    assert answers[0].status_code == 200
    answer = answers[1]
    assert_problem(answer, 429, "queue_full")
    assert answer.headers["retry-after"] == "15"


async def test_whom_a_job_is_counted_for_is_told_nobody(
    server: Server, song: bytes
) -> None:
    job_id = (await submit(server, song))["job_id"]
    client = server.store.get(job_id).client
    assert client
    for path in (f"/job/{job_id}", "/jobs"):
        assert client not in (await server.client.get(path)).text


async def test_a_job_keeps_the_id_of_the_request_that_added_it(
    server: Server, song: bytes
) -> None:
    headers = {"X-Request-ID": "from-the-door"}
    made = await submit(server, song, headers=headers)
    assert server.store.get(made["job_id"]).request_id == "from-the-door"
    files = {"file": ("song.wav", song)}
    answer = await server.client.post(
        "/analyze?async=true", files=files, headers=headers
    )
    job = server.analyses.get(answer.json()["job_id"])
    assert job.request_id == "from-the-door"


async def test_a_job_keeps_the_trace_of_the_request_that_added_it(
    server: Server, song: bytes
) -> None:
    tracer = KeepingTracer()
    files = {"file": ("song.wav", song)}
    async with server.with_services(trace=Traces(tracer).request) as client:
        for path in ("/separate", "/analyze?async=true"):
            answer = await client.post(path, files=files)
            store = server.store if path == "/separate" else server.analyses
            job = store.get(answer.json()["job_id"])
            assert job.traceparent == tracer.spans[-1].traceparent
    assert [span.name for span in tracer.spans] == ["POST /separate", "POST /analyze"]


async def test_without_traces_a_job_has_none(server: Server, song: bytes) -> None:
    made = await submit(server, song)
    assert server.store.get(made["job_id"]).traceparent is None
