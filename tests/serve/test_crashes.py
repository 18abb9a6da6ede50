"""Whatever process dies, an accepted job completes once, with the right stems."""

import hashlib
import re
import sqlite3
import time
from pathlib import Path

import httpx
import psutil
import pytest

from serve_app.separation.models import find
from serve_app.separation.windows import plan
from tests import media
from tests.ports import free_port
from tests.serve.intruders import (
    assert_shut_to_the_network,
    listening,
    reason_not_to_try,
)
from tests.serve.polling import polled
from tests.serve.servers import own_server
from tests.serve.service import STEMS, Service, replica_processes, wait_for

# Long enough to be interrupted, at tens of times real time.
LONG_SECONDS = 150.0
TEN_MINUTES = 600.0


@pytest.fixture(scope="module")
def long_song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("songs") / "long.wav"
    media.write_song(path, seconds=LONG_SECONDS, sample_rate=22_050)
    return path


@pytest.fixture(scope="module")
def calm(service: Service, long_song: Path) -> dict[str, str]:
    """Separate the song without a crash; return the expected hashes of the stems."""
    calm = hashes(service, service.submit(long_song))
    assert len(set(calm.values())) == len(STEMS)
    return calm


def hashes(service: Service, job_id: str) -> dict[str, str]:
    job = service.wait(job_id)
    assert job["status"] == "completed", job
    return {name: hashlib.sha256(service.stem(job, name)).hexdigest() for name in STEMS}


@pytest.mark.parametrize("deployment", ["Separator", "DispatcherReplica", "Api"])
def test_a_killed_replica_loses_no_job(
    service: Service, calm: dict[str, str], long_song: Path, deployment: str
) -> None:
    job_id = service.submit(long_song)
    service.wait_until(job_id, lambda job: 5 < job["progress"] < 80)
    killed = replica_processes(deployment)
    assert len(killed) == 1
    killed[0].kill()
    assert hashes(service, job_id) == calm
    assert_done_once(service, job_id)
    if deployment != "Api":
        assert attempts_of(service, job_id) > 1


def test_a_separator_that_hangs_is_killed_and_its_jobs_are_completed(
    service: Service, calm: dict[str, str], long_song: Path
) -> None:
    jobs = [service.submit(long_song) for _ in range(2)]
    for job_id in jobs:
        service.wait_until(job_id, lambda job: 1 < job["progress"] < 80)
    (hung,) = replica_processes("Separator")
    hung.suspend()
    for job_id in jobs:
        assert hashes(service, job_id) == calm
        assert_done_once(service, job_id)
    assert not hung.is_running(), "the hung replica still has its memory and device"


@pytest.mark.timeout(300)  # Run alone, it also starts the cluster.
def test_a_song_goes_on_from_its_last_stored_window(
    service: Service, tmp_path: Path
) -> None:
    """A song of ten minutes, killed at 80 %: most windows are computed only once."""
    song = tmp_path / "song.wav"
    media.write_song(song, seconds=TEN_MINUTES, sample_rate=22_050, channels=1)
    windows = len(plan(round(TEN_MINUTES * 44_100), find("demo").window))
    calm = hashes(service, service.submit(song))
    job_id = service.submit(song)
    # Storing the stems is the last 5 % of the progress.
    service.wait_until(job_id, lambda job: job["progress"] >= 0.8 * 95)
    replica_processes("Separator")[0].kill()
    assert hashes(service, job_id) == calm
    # A replica counts its windows since its start, its warm-up's included.
    wait_for(lambda: service.health().get("windows_served", 0) > 1)
    time.sleep(6)  # The status of the pools is refreshed every 5 seconds.
    computed = service.health()["windows_served"] - 1
    print(f"the second attempt computed {computed} of {windows} windows")
    assert computed <= 0.3 * windows
    assert list((service.data_dir / "files" / "parts").rglob("*.npy")) == []


def test_jobs_that_share_a_dead_separator_are_all_completed(
    service: Service, calm: dict[str, str], long_song: Path
) -> None:
    jobs = [service.submit(long_song) for _ in range(3)]
    for job_id in jobs:
        service.wait_until(job_id, lambda job: job["progress"] > 1)
    replica_processes("Separator")[0].kill()
    for job_id in jobs:
        assert hashes(service, job_id) == calm
        assert_done_once(service, job_id)


def assert_done_once(service: Service, job_id: str) -> None:
    """Check that the store has the stems of the published attempt only."""
    stems = service.data_dir / "files" / "stems" / job_id
    attempt = attempts_of(service, job_id)
    end = time.monotonic() + 40
    while time.monotonic() < end:
        kept = sorted(
            str(p.relative_to(stems)) for p in stems.rglob("*") if p.is_file()
        )
        if kept == sorted(f"{attempt}/{name}.wav" for name in STEMS):
            return
        time.sleep(0.2)
    raise AssertionError(kept)


def attempts_of(service: Service, job_id: str) -> int:
    with sqlite3.connect(service.data_dir / "jobs.sqlite3") as database:
        row = database.execute("select attempt from queue where id = ?", (job_id,))
        return int(row.fetchone()[0])


@pytest.mark.timeout(300)
def test_everything_killed_and_started_again_completes_every_job(
    tmp_path: Path, calm: dict[str, str], long_song: Path
) -> None:
    """Meanwhile the job is never 404, and the terminal shows only a few lines."""
    data_dir, port = tmp_path / "data", free_port()
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    song = tmp_path / "Blue Monday.wav"
    media.write_song(song, seconds=3.0)
    with own_server(data_dir, first, port) as (service, process):
        done = service.submit(song)
        assert service.wait(done)["status"] == "completed"
        running = service.submit(long_song)
        service.wait_until(running, lambda job: 5 < job["progress"] < 80)
        queued = service.submit(long_song)
        everything = [process, *process.children(recursive=True)]
        for one in everything:
            one.kill()
        psutil.wait_procs(everything, timeout=20)
    with polled(f"{service.url}/job/{done}") as seen:
        with own_server(data_dir, second, port) as (service, process):
            for job_id in (running, queued):
                assert hashes(service, job_id) == calm
                assert_done_once(service, job_id)
            assert_shut(process, port, tmp_path)
            started = [process, *process.children(recursive=True)]
        _, alive = psutil.wait_procs(started, timeout=20)
    assert not alive, "processes are left after SIGINT"
    assert not seen.wrong
    assert seen.statuses[200] > 0
    assert seen.refused > 0, "polling started after the port was open"
    assert_a_person_can_read(first.read_text(), port, done, song.name)
    assert_a_person_can_read(second.read_text(), port, running, long_song.name)
    assert "has stopped" in second.read_text().splitlines()[-1]


def assert_shut(server: psutil.Process, port: int, tmp_path: Path) -> None:
    """Check that other machines, and pages by DNS rebinding, can't reach the server."""
    headers = {"Host": f"evil.example:{port}"}
    response = httpx.get(f"http://127.0.0.1:{port}/jobs", headers=headers)
    assert response.status_code == 421
    assert listening(server)[port] == "127.0.0.1"
    if not reason_not_to_try():
        marks = tmp_path / "marks"
        marks.mkdir()
        assert_shut_to_the_network(server, port, marks)


def assert_a_person_can_read(shown: str, port: int, job_id: str, name: str) -> None:
    lines = shown.splitlines()
    assert 5 <= len(lines) <= 10, shown
    assert "pid=" not in shown
    assert "infinite retries" not in shown
    assert f"http://127.0.0.1:{port}/docs" in shown
    assert re.search(r"model loaded name=demo runtime=\w+", shown)
    done = next(line for line in lines if f"song separated job={job_id}" in line)
    assert f'name="{name}"' in done
    assert re.search(r"speed=[\d.]+x queued=[\d.]+s fetch=[\d.]+s separate=", done)
    assert "analyze=" in done
