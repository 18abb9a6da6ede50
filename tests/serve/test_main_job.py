"""Separation end to end, by the HTTP contract."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from deployments import niceness
from serve_app.audio.decode import read_blocks
from serve_app.stems.exports import tagging, tags
from serve_app.stems.exports.tags import Tags
from tests import media
from tests.serve.service import STEMS, Service, replica_processes, wait_for
from tests.signals import offset_samples
from tests.unit.analysis import music


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "A song.wav"
    media.write_song(path, seconds=3.0)
    return path


def test_a_song_comes_back_as_four_stems_and_an_analysis(
    service: Service, song: Path, tmp_path: Path
) -> None:
    job = service.wait(service.submit(song))
    assert job["status"] == "completed", job
    assert job["progress"] == 100
    assert job["filename"] == "A song.wav"
    assert set(job["stems"]) == set(STEMS)
    assert job["analysis"]["bpm"] > 0
    assert job["analysis"]["key"]
    mix, rate = soundfile.read(song, dtype="float32")
    for name, wave in service.stems(job, tmp_path).items():
        assert wave.shape == mix.shape, name
        assert (
            soundfile.info(tmp_path / f"{job['job_id']}-{name}.wav").samplerate == rate
        )


def test_stems_have_the_tags_of_their_song_with_its_tempo(
    service: Service, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "song.wav", music.drums(120.0, seconds=8), 22_050)
    song = tmp_path / "A song.wav"
    tagging.write(tmp_path / "song.wav", song, Tags(title="Blue", artist="A"))
    job = service.wait(service.submit(song))
    assert job["analysis"]["bpm"] == pytest.approx(120, abs=0.1)
    assert job["analysis"]["bpm_confidence"] > 0
    service.stems(job, tmp_path)
    for name in STEMS:
        path = tmp_path / f"{job['job_id']}-{name}.wav"
        assert path.stat().st_size == job["stems"][name]["size"]
        found = tags.read(path)
        assert (found.title, found.artist) == (f"Blue ({name.capitalize()})", "A")
        assert b"TBPM" in path.read_bytes()


@pytest.mark.parametrize("kind", sorted(media.KINDS))
def test_stems_are_as_long_as_the_song_and_aligned_with_it(
    service: Service, tmp_path: Path, kind: str
) -> None:
    """For every input format: exact length, and offset 0 by cross-correlation."""
    path = tmp_path / f"song{media.KINDS[kind]}"
    media.write_song(path, kind, seconds=3.0)
    expected = decoded(path)
    job = service.wait(service.submit(path))
    assert job["status"] == "completed", job
    stems = service.stems(job, tmp_path)
    total = np.sum([stems[name] for name in STEMS], axis=0).mean(axis=1)
    assert total.shape == expected.shape
    assert offset_samples(total, expected) == 0


def decoded(path: Path) -> Any:
    """Decode to mono with our reader, which other tests compare with ffmpeg."""
    return np.concatenate(list(read_blocks(path)), axis=1).mean(axis=0)


@pytest.mark.parametrize(
    ("name", "suffix"), [("flac", "flac"), ("mp3", "mp3"), ("opus", "opus")]
)
def test_stems_come_in_the_format_asked_for(
    service: Service, song: Path, name: str, suffix: str
) -> None:
    job = service.wait(service.submit(song, format=name, stems="vocals,accompaniment"))
    assert set(job["stems"]) == {"vocals", "accompaniment"}
    assert all(stem["filename"].endswith(suffix) for stem in job["stems"].values())
    assert len(service.stem(job, "accompaniment")) > 1000


def test_ten_songs_at_once_are_all_served(service: Service, tmp_path: Path) -> None:
    jobs = []
    for number in range(10):
        path = tmp_path / f"song {number}.wav"
        media.write_song(path, seconds=1.0 + number / 10)
        jobs.append(service.submit(path))
    ended = [service.wait(job_id) for job_id in jobs]
    assert [job["status"] for job in ended] == ["completed"] * 10


def test_a_short_song_is_not_behind_a_long_one(
    service: Service, tmp_path: Path, song: Path
) -> None:
    long = tmp_path / "long.wav"
    media.write_song(long, seconds=240.0, sample_rate=22_050)
    long_id = service.submit(long)
    short = service.wait(service.submit(song))
    assert short["status"] == "completed"
    assert service.job(long_id)["status"] == "processing"
    assert service.wait(long_id)["status"] == "completed"


def test_a_cancelled_job_stops_and_leaves_no_file(
    service: Service, tmp_path: Path
) -> None:
    before = set(service.files())
    long = tmp_path / "long.wav"
    media.write_song(long, seconds=240.0, sample_rate=22_050)
    job_id = service.submit(long)
    service.wait_until(job_id, lambda job: job["progress"] > 0)
    url = f"{service.url}/job/{job_id}"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(httpx.get, f"{url}?wait=30", timeout=60)
        time.sleep(0.5)
        assert httpx.delete(url).json()["success"] is True
        assert waiting.result().json()["status"] == "cancelled"
    assert httpx.get(url).status_code == 404
    wait_for(lambda: set(service.files()) <= before)


def test_an_answer_has_one_request_id_the_clients_if_it_gave_one(
    service: Service,
) -> None:
    response = httpx.get(f"{service.url}/ping", headers={"X-Request-ID": "mine"})
    assert response.headers.get_list("x-request-id") == ["mine"]
    given = httpx.get(f"{service.url}/ping").headers.get_list("x-request-id")
    assert len(given) == 1


def test_a_long_poll_ends_with_the_job(service: Service, song: Path) -> None:
    job_id = service.submit(song)
    response = httpx.get(f"{service.url}/job/{job_id}?wait=60", timeout=70)
    assert response.json()["status"] == "completed"


def test_only_a_trusted_proxy_can_name_another_scheme_or_host(
    service: Service, song: Path
) -> None:
    """By default the server in Serve's proxy trusts clients on this machine."""
    job_id = service.submit(song)
    forged = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
    }
    service.wait(job_id)
    stems = service.job(job_id, forged)["stems"]
    url = f"{service.url}/job/{job_id}/stems/drums"
    assert stems["drums"]["download_url"] == url


def test_health_says_what_is_loaded(service: Service) -> None:
    wait_for(lambda: httpx.get(f"{service.url}/readyz").status_code == 200)
    health = service.health()
    assert health["model"] == "demo"
    assert "synthetic" in health["trained_on"]
    assert health["device"]


def test_after_bad_input_the_next_song_works(
    service: Service, tmp_path: Path, song: Path
) -> None:
    before = set(service.files())
    bad = tmp_path / "text.mp3"
    media.write_text(bad)
    with bad.open("rb") as file:
        response = httpx.post(
            f"{service.url}/separate", files={"file": (bad.name, file)}
        )
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert set(service.files()) == before
    assert service.wait(service.submit(song))["status"] == "completed"


def test_answers_come_before_songs_where_cores_are_short(service: Service) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    lowest = {"Api": 0, "Separator": niceness.SEPARATION, "Analyzer": niceness.ANALYSIS}
    for deployment, wanted in lowest.items():
        (replica,) = replica_processes(deployment)
        # Each thread has its own, that of the thread which started it.
        threads = [thread.id for thread in replica.threads()]
        found = {os.getpriority(os.PRIO_PROCESS, thread) for thread in threads}
        assert max(found) == own + wanted, deployment
