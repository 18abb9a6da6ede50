"""Long songs analysed as jobs, by the real pool."""

from pathlib import Path
from typing import Any

import httpx
import pytest
import soundfile

from tests.serve.service import Service, replica_processes, wait_for
from tests.unit.analysis import music

RATE = 22_050


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "A song.wav"
    soundfile.write(path, music.drums(120.0, seconds=8), RATE)
    return path


@pytest.fixture(scope="module")
def long_song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A song whose analysis takes some seconds."""
    path = tmp_path_factory.mktemp("songs") / "A mix.flac"
    soundfile.write(path, music.drums(120.0, seconds=900), RATE)
    return path


def post(service: Service, song: Path, query: str = "") -> dict[str, Any]:
    with song.open("rb") as file:
        answer = httpx.post(
            f"{service.url}/analyze{query}",
            files={"file": (song.name, file)},
            timeout=60,
        )
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def poll(url: str, query: str = "") -> dict[str, Any]:
    """Return the job; a replica that was just killed costs a client a retry."""
    transport = httpx.HTTPTransport(retries=3)
    with httpx.Client(transport=transport, timeout=60) as client:
        body: dict[str, Any] = client.get(f"{url}{query}").raise_for_status().json()
        return body


def over(url: str) -> dict[str, Any]:
    for _ in range(4):
        job = poll(url, "?wait=30")
        if job["status"] not in ("pending", "processing"):
            break
    return job


def test_a_job_finds_what_the_direct_answer_says(service: Service, song: Path) -> None:
    direct = post(service, song)
    job = over(post(service, song, "?async=true")["status_url"])
    assert job["status"] == "completed", job
    assert job["analysis"] == direct
    assert job["analysis"]["bpm"] == pytest.approx(120, abs=0.1)


def test_a_job_outlives_its_analyzer(service: Service, long_song: Path) -> None:
    url = post(service, long_song, "?async=true")["status_url"]
    wait_for(lambda: poll(url)["progress"] > 5, 60)
    (analyzer,) = replica_processes("Analyzer")
    analyzer.kill()
    job = over(url)
    assert job["status"] == "completed", job
    assert job["analysis"]["bpm"] == pytest.approx(120, abs=0.1)


def test_a_cancelled_job_leaves_nothing(service: Service, long_song: Path) -> None:
    url = post(service, long_song, "?async=true")["status_url"]
    wait_for(lambda: poll(url)["status"] == "processing", 60)
    assert httpx.delete(url).status_code == 200
    assert httpx.get(url).status_code == 404
    wait_for(lambda: service.files() == [], 30)
