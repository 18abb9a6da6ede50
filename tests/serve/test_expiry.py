"""After its expiry no row or file of a job is left, however the job ended."""

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests import media
from tests.serve.application import running_demo
from tests.serve.service import Service, wait_for


@pytest.fixture(scope="module")
def short_retention(
    cluster: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Run the application with a retention of two seconds."""
    data_dir = tmp_path_factory.mktemp("data")
    with running_demo(cluster, data_dir, retention_seconds=2.0) as service:
        yield service


def test_nothing_is_left_of_finished_failed_and_cancelled_jobs(
    short_retention: Service, tmp_path: Path
) -> None:
    song = tmp_path / "song.wav"
    media.write_song(song, seconds=2.0)
    finished = short_retention.submit(song)
    assert short_retention.wait(finished)["status"] == "completed"

    long = tmp_path / "long.wav"
    media.write_song(long, seconds=240.0, sample_rate=22_050)
    cancelled = short_retention.submit(long)
    failed = short_retention.submit(long)
    # What can't be decoded fails at once, what is missing after 25 s of retries.
    (short_retention.data_dir / "files" / "originals" / failed).write_text("no song")
    short_retention.wait_until(cancelled, lambda job: job["status"] == "processing")
    httpx.delete(f"{short_retention.url}/job/{cancelled}").raise_for_status()
    assert short_retention.wait(failed)["status"] == "failed"

    for job_id in (finished, cancelled, failed):
        wait_until_gone(short_retention, job_id)
    # Clients get 404 at the expiry; the sweep deletes rows and files seconds later.
    wait_for(lambda: rows(short_retention) == 0 and short_retention.files() == [])


def wait_until_gone(service: Service, job_id: str) -> None:
    end = time.monotonic() + 100
    while httpx.get(f"{service.url}/job/{job_id}", timeout=10).status_code != 404:
        assert time.monotonic() < end, service.job(job_id)
        time.sleep(0.5)


def rows(service: Service) -> int:
    with sqlite3.connect(service.data_dir / "jobs.sqlite3") as database:
        return int(database.execute("select count(*) from queue").fetchone()[0])
