"""A full disk loses no job; jobs continue once there is space again."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest

from tests import disks, media
from tests.serve.application import running_demo
from tests.serve.conftest import LEASE_SECONDS
from tests.serve.service import Service, processes, wait_for

MIB = 1024**2
JOBS = 5
FULL_SECONDS = 3.0


@pytest.fixture
def files(tmp_path: Path) -> Iterator[disks.SmallDisk]:
    with disks.mounted(tmp_path / "files", 128 * MIB) as disk:
        yield disk


@pytest.fixture
def database(tmp_path: Path) -> Iterator[disks.SmallDisk]:
    with disks.mounted(tmp_path / "database", 8 * MIB) as disk:
        yield disk


@pytest.fixture
def service(
    cluster: int, files: disks.SmallDisk, database: disks.SmallDisk
) -> Iterator[Service]:
    settings = {
        "database_url": f"sqlite:///{database.path / 'jobs.sqlite3'}",
        "lease_seconds": LEASE_SECONDS,
        "disk_reserve_bytes": 2 * MIB,
    }
    with running_demo(cluster, files.path, **settings) as service:
        yield service


@pytest.mark.timeout(300)
def test_jobs_wait_for_room_and_are_completed_by_themselves(
    service: Service,
    files: disks.SmallDisk,
    database: disks.SmallDisk,
    tmp_path: Path,
) -> None:
    """First the disk of the files is full, then also that of the database."""
    song = tmp_path / "song.wav"
    media.write_song(song, seconds=20.0, sample_rate=22_050)
    jobs = [service.submit(song) for _ in range(JOBS)]
    service.wait_until(jobs[0], lambda job: job["progress"] > 5)
    for full in ([files], [files, database]):
        with ExitStack() as stack:
            for disk in full:
                stack.enter_context(disk.filled())
            until = time.monotonic() + FULL_SECONDS
            while time.monotonic() < until:
                # Fill again the space that jobs have freed.
                for disk in full:
                    disk.fill()
                time.sleep(0.1)
            assert_refused(service, song)
            assert held_open(files.path) == []
        wait_for(lambda: service.health()["disk"]["ok"])
    for job_id in jobs:
        job = service.wait(job_id)
        assert job["status"] == "completed", job
        assert "analysis_error" not in job
        assert len(service.stems(job, tmp_path)) == 4
    with sqlite3.connect(database.path / "jobs.sqlite3") as rows:
        found = rows.execute("select sum(failures), sum(excused) from queue").fetchone()
    failures, excused = found
    assert failures == 0
    assert excused > 0, "no job was affected by the full disk"
    assert held_open(files.path) == []


def assert_refused(service: Service, song: Path) -> None:
    response = httpx.post(
        f"{service.url}/separate", files={"file": song.read_bytes()}, timeout=60
    )
    assert response.status_code == 503, response.text
    assert int(response.headers["retry-after"]) > 0
    report = service.health()
    assert not report["disk"]["ok"]
    assert report["status"] != "ok"


def held_open(root: Path) -> list[str]:
    """Return the deleted files that replicas still have open."""
    replicas: list[psutil.Process] = processes("ServeReplica:stemserve")
    return [path for each in replicas for path in disks.deleted_files(root, each)]
