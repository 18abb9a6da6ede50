"""A disk that is full in the middle of jobs loses none of them, and holds none up."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event as Flag

import pytest

from serve_app.audio.limits import AudioLimits
from serve_app.audio.measure import measure
from serve_app.database import Database
from serve_app.jobs.dispatcher import Dispatcher, DispatchPolicy
from serve_app.jobs.job import State
from serve_app.jobs.runner import Finished, RunnerEvent, Started
from serve_app.stems.request import SeparationJob, Stage
from serve_app.stems.work import SongWorker
from serve_app.storage.local import LocalStorage
from tests import media
from tests.disks import SmallDisk, deleted_files, open_files
from tests.jobs import SongStore, new_job, new_store, with_audio
from tests.networks import OneEngine, sharing_engine

JOBS = "abcde"
FULL_SECONDS = 1.5
LEASE_SECONDS = 1.0
PATIENCE_SECONDS = 60.0


class Threads:
    """Runs jobs in threads; `begun` is set in the middle of the first."""

    def __init__(self, worker: SongWorker) -> None:
        self._worker = worker
        self.begun = Flag()

    async def __call__(self, job: SeparationJob) -> AsyncGenerator[RunnerEvent, None]:
        """Yield the job's events."""

        def note(stage: Stage, fraction: float) -> None:
            if fraction > 0.3:
                self.begun.set()

        yield Started("here")
        run = self._worker.run
        yield Finished(await asyncio.to_thread(run, job, note, Flag()))


def hand_in(store: SongStore, storage: LocalStorage, song: Path) -> None:
    facts = measure(song, AudioLimits(60))
    for name in JOBS:
        storage.put(f"originals/{name}", song)
        job = with_audio(new_job(name), facts)
        store.add(replace(job, created_at=datetime.now(UTC)))


@pytest.mark.parametrize("has_database", [True, False], ids=["all", "files-only"])
def test_jobs_wait_for_disk_space_without_a_failure_and_then_finish(
    tmp_path: Path, small_disk: SmallDisk, has_database: bool
) -> None:
    song = tmp_path / "song.wav"
    media.write_song(song, seconds=4.0)
    place = small_disk.path if has_database else tmp_path
    storage = LocalStorage(small_disk.path / "files")
    work = small_disk.path / "work"
    policy = DispatchPolicy(
        in_flight=3,
        lease_seconds=LEASE_SECONDS,
        renew_seconds=LEASE_SECONDS / 3,
        poll_seconds=0.05,
        backoff_seconds=0.2,
    )
    with (
        sharing_engine() as engine,
        Database(f"sqlite:///{place / 'jobs.sqlite3'}") as database,
    ):
        store = new_store(database, lambda: datetime.now(UTC))
        hand_in(store, storage, song)
        threads = Threads(SongWorker(OneEngine(engine), storage, work))

        def are_done() -> bool:
            states = [store.get(name).state for name in JOBS]
            assert State.FAILED not in states
            return set(states) == {State.SUCCEEDED}

        async def run() -> None:
            dispatcher = Dispatcher(store, threads, "me", policy)
            loop = asyncio.create_task(dispatcher.run_forever())
            assert await asyncio.to_thread(threads.begun.wait, PATIENCE_SECONDS)
            with small_disk.filled():
                for _ in range(round(FULL_SECONDS / 0.1)):
                    # What jobs have given back is taken by whoever fills the disk.
                    await asyncio.to_thread(small_disk.fill)
                    await asyncio.sleep(0.1)
                assert not await asyncio.to_thread(are_done)
                assert deleted_files(small_disk.path) == []
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not await asyncio.to_thread(are_done):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            await dispatcher.shutdown()
            await loop

        asyncio.run(run())
        for name in JOBS:
            job = store.get(name)
            assert job.failures == 0
            assert job.result is not None
            for stem in job.result.stems:
                assert storage.stat(stem.key).size_bytes == stem.size_bytes
    assert list(work.iterdir()) == []
    assert open_files(small_disk.path) == []
