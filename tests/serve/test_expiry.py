"""Nothing of a job is left after its expiry, however it ended."""

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from ray import serve

from deployments.app import build
from deployments.args import AppArgs
from tests import media
from tests.serve.service import Service, wait_for


@pytest.fixture(scope="module")
def forgetful(
    cluster: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Run the application with a retention of a moment."""
    data_dir = tmp_path_factory.mktemp("data")
    settings = {
        "data_dir": data_dir,
        "model": "demo",
        "retention_seconds": 2.0,
        "threads": 1,
    }
    serve.run(build(AppArgs(settings=settings)), name="stemserve", route_prefix="/")
    yield Service(f"http://127.0.0.1:{cluster}", data_dir)
    serve.delete("stemserve")


def test_nothing_is_left_of_finished_failed_and_cancelled_jobs(
    forgetful: Service, tmp_path: Path
) -> None:
    song = tmp_path / "song.wav"
    media.write_song(song, seconds=2.0)
    finished = forgetful.submit(song)
    assert forgetful.wait(finished)["status"] == "completed"

    long = tmp_path / "long.wav"
    media.write_song(long, seconds=240.0, sample_rate=22_050)
    cancelled = forgetful.submit(long)
    failed = forgetful.submit(long)
    (forgetful.data_dir / "files" / "originals" / failed).unlink()
    forgetful.wait_until(cancelled, lambda job: job["status"] == "processing")
    httpx.delete(f"{forgetful.url}/job/{cancelled}").raise_for_status()

    for job_id in (finished, cancelled, failed):
        wait_until_gone(forgetful, job_id)
    # To clients they are gone when their time is up; the sweep follows in seconds.
    wait_for(lambda: rows(forgetful) == 0 and forgetful.files() == [])


def wait_until_gone(service: Service, job_id: str) -> None:
    end = time.monotonic() + 100
    while httpx.get(f"{service.url}/job/{job_id}", timeout=10).status_code != 404:
        assert time.monotonic() < end, service.job(job_id)
        time.sleep(0.5)


def rows(service: Service) -> int:
    with sqlite3.connect(service.data_dir / "jobs.sqlite3") as database:
        return int(database.execute("select count(*) from queue").fetchone()[0])
