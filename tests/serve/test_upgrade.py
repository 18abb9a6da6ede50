"""The previous version and this one share one Postgres, in upgrades and rollbacks."""

import os
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from serve_app.database import Database
from serve_app.errors import JobNotFound
from serve_app.jobs.job import Job, State
from serve_app.jobs.kind import Kind, Rules
from serve_app.jobs.store import JobStore
from serve_app.storage.local import LocalStorage
from tests import media
from tests.databases import Postgres
from tests.serve.servers import own_server
from tests.serve.service import Service, wait_for

ROOT = Path(__file__).parents[2]
# The last version that knew songs only; its schema is 0010.
pytestmark = pytest.mark.timeout(900)
BEFORE = "94d6950"
# `make verify` has 50.
SONGS = int(os.environ.get("UPGRADE_SONGS", "10"))


@dataclass(frozen=True)
class EchoRequest:
    text: str


@dataclass(frozen=True)
class Echo:
    text: str


ECHO = Kind("echo", EchoRequest, Echo, ("speak",), Rules(), folders=("echo",))


@pytest.fixture(scope="module")
def old_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Extract the previous version from git."""
    tree = tmp_path_factory.mktemp("before")
    known = subprocess.run(
        ["git", "cat-file", "-e", f"{BEFORE}^{{commit}}"], cwd=ROOT, check=False
    )
    if known.returncode:
        pytest.skip(f"the history of this clone does not reach back to {BEFORE}")
    archive = ["git", "archive", "--format=tar", BEFORE, "serve_app", "deployments"]
    done = subprocess.run(
        [*archive, "configs"], cwd=ROOT, capture_output=True, check=True
    )
    with tarfile.open(fileobj=BytesIO(done.stdout)) as files:
        files.extractall(tree, filter="data")
    return tree


@pytest.fixture
def shared(postgres: Postgres, tmp_path: Path) -> Iterator[Mapping[str, str]]:
    """Yield settings of a database and a store that both versions share."""
    with postgres.new_database() as url:
        yield {
            "STEMSERVE_DATABASE_URL": url,
            "STEMSERVE_STORAGE": str(tmp_path / "files"),
            "STEMSERVE_ORPHAN_GRACE_SECONDS": "1",
            # So that most songs are still queued when the first version stops.
            "STEMSERVE_SONGS_AT_ONCE": "1",
        }


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "song.wav"
    media.write_song(path, seconds=4.0, sample_rate=22_050)
    return path


def echo_job(job_id: str, state: State = State.QUEUED, age_hours: float = 0.0) -> Job:
    at = datetime.now(UTC) - timedelta(hours=age_hours)
    expires_at = at if state.is_final else None
    return Job(
        job_id,
        EchoRequest("Ahoy"),
        state,
        created_at=at,
        updated_at=at,
        expires_at=expires_at,
    )


def replicas(server: psutil.Process, deployment: str) -> list[psutil.Process]:
    marker = f"ServeReplica:stemserve:{deployment}"
    found = []
    for process in server.children(recursive=True):
        try:
            if marker in " ".join(process.cmdline()):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def test_the_version_before_goes_on_beside_jobs_of_a_kind_that_it_does_not_know(
    old_tree: Path, shared: Mapping[str, str], song: Path, tmp_path: Path
) -> None:
    log = tmp_path / "old.log"
    with own_server(tmp_path / "old", log, tree=old_tree, settings=shared) as (
        old,
        process,
    ):
        assert old.wait(old.submit(song))["status"] == "completed"
        with Database(shared["STEMSERVE_DATABASE_URL"]) as database:
            echoes = JobStore(database, lambda: datetime.now(UTC), ECHO)
            storage = LocalStorage(Path(shared["STEMSERVE_STORAGE"]))
            for job in (
                echo_job("waits"),
                echo_job("ended", State.SUCCEEDED, age_hours=1),
            ):
                echoes.add(job)
                storage.put(f"echo/{job.id}/text", song)
            listed = len(old.listed())
            assert old.wait(old.submit(song))["status"] == "completed"
            for deployment in ("Dispatcher", "Api"):
                for replica in replicas(process, deployment):
                    replica.kill()
            # They must start although the schema is newer than they are.
            wait_for(old.is_ready, timeout_seconds=90)
            assert old.wait(old.submit(song))["status"] == "completed"
            assert len(old.listed()) == listed + 2
            assert old.health()["queue"]["queued"] == 0
            # Long enough for its sweeps of expired jobs and orphaned files.
            time.sleep(12)
            assert echoes.get("waits").state is State.QUEUED
            assert echoes.get("ended").state is State.SUCCEEDED
            assert storage.stat("echo/waits/text").size_bytes == song.stat().st_size
            assert storage.stat("echo/ended/text").size_bytes == song.stat().st_size
            with database.reading() as connection:
                seen = connection.execute(text("SELECT id FROM jobs")).scalars().all()
            assert not {"waits", "ended"} & set(seen)
            with pytest.raises(JobNotFound):
                echoes.get(seen[0])


def test_no_song_is_lost_from_one_version_to_the_other_and_back(
    old_tree: Path, shared: Mapping[str, str], song: Path, tmp_path: Path
) -> None:
    """Songs are queued and running whenever a version starts, and the other stops."""
    long_song = tmp_path / "long.wav"
    media.write_song(long_song, seconds=60.0, sample_rate=22_050)

    def start(stack: ExitStack, name: str, tree: Path) -> Service:
        place, log = tmp_path / name, tmp_path / f"{name}.log"
        running = own_server(place, log, tree=tree, settings=shared)
        service, _ = stack.enter_context(running)
        return service

    def loaded(service: Service) -> list[str]:
        jobs = [service.submit(song) for _ in range(SONGS // 2)]
        jobs.append(service.submit(long_song))
        assert {"pending", "processing"} <= {
            each["status"] for each in service.listed()
        }
        return jobs

    with ExitStack() as last:
        with ExitStack() as second:
            with ExitStack() as first:
                before = start(first, "before", old_tree)
                jobs = [before.submit(long_song)]
                now = start(second, "now", ROOT)
                jobs += loaded(before)
            again = start(last, "again", old_tree)
            jobs += loaded(now)
        ends = [again.wait(job_id, 300)["status"] for job_id in jobs]
        assert ends == ["completed"] * len(jobs)
