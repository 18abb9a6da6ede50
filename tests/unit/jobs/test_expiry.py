import os
from collections.abc import Collection, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from serve_app.database import Database
from serve_app.errors import StorageUnavailable
from serve_app.jobs.expiry import Expiry
from serve_app.jobs.job import Claim, State
from serve_app.stems.request import SeparationJob
from serve_app.storage.local import LocalStorage
from tests.jobs import RESULT, ManualClock, SongStore, new_job, new_store, stored

KEPT = 1800.0
GRACE = 3600.0


class Disk(LocalStorage):
    """A local store, some folders of which can't be deleted."""

    stuck: frozenset[str] = frozenset()

    def delete(self, prefix: str) -> None:
        """Delete, or fail."""
        if prefix in self.stuck:
            raise StorageUnavailable("The disk does not answer.")
        super().delete(prefix)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "files")


@pytest.fixture
def expiry(store: SongStore, disk: Disk, clock: ManualClock) -> Expiry:
    return Expiry(store, disk, clock)


def put(disk: Disk, clock: ManualClock, *keys: str) -> None:
    """Store a file under each of `keys`, as of now."""
    song = disk._root.with_name("song")
    for key in keys:
        song.write_bytes(b"sound")
        disk.put(key, song)
        song.unlink()
        os.utime(disk._root / key, (clock.now.timestamp(),) * 2)


def keys(disk: Disk) -> set[str]:
    return {file.key for file in disk.list("")}


def running(store: SongStore, job_id: str) -> Claim:
    store.add(new_job(job_id))
    (job,) = store.claim("me", lease_seconds=1e6, include_alone=True)
    return job.claim


def end(store: SongStore, job_id: str, state: State) -> None:
    claim = running(store, job_id)
    if state is State.SUCCEEDED:
        store.succeed(claim, RESULT)
    elif state is State.FAILED:
        store.fail(claim, "code", "why")
    else:
        store.cancel(job_id)
        store.release(claim)


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.CANCELLED])
def test_nothing_of_a_job_is_left_after_its_time(
    database: Database,
    store: SongStore,
    disk: Disk,
    expiry: Expiry,
    clock: ManualClock,
    state: State,
) -> None:
    end(store, "a", state)
    stems = ("stems/a/1/drums.wav", "stems/a/2/x")
    put(disk, clock, "originals/a", *stems, "uploads/a", "parts/a/demo-1/000000.npy")
    clock.advance(KEPT - 1)
    assert expiry.sweep() == 0
    assert len(keys(disk)) == 5
    clock.advance(1)
    assert expiry.sweep() == 1
    assert keys(disk) == set()
    assert stored(database) == []


def test_other_jobs_keep_what_is_theirs(
    database: Database, store: SongStore, disk: Disk, expiry: Expiry, clock: ManualClock
) -> None:
    end(store, "a", State.SUCCEEDED)
    running(store, "ab")
    clock.advance(KEPT)
    end(store, "abc", State.SUCCEEDED)
    mine = {"originals/ab", "stems/ab/1/drums.wav", "originals/abc"}
    put(disk, clock, "originals/a", *mine)
    assert expiry.sweep() == 1
    assert keys(disk) == mine
    assert {job.id for job in stored(database)} == {"ab", "abc"}


def test_more_jobs_than_fit_one_batch_all_go(
    database: Database,
    clock: ManualClock,
    expiry: Expiry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = new_store(database, clock, retention_seconds=0)
    monkeypatch.setattr("serve_app.jobs.expiry._BATCH", 2)
    for number in range(5):
        store.add(new_job(f"job-{number}"))
        store.cancel(f"job-{number}")
    assert expiry.sweep() == 5


def test_a_row_stays_until_its_files_are_gone_and_holds_up_no_other(
    database: Database, store: SongStore, disk: Disk, expiry: Expiry, clock: ManualClock
) -> None:
    for job_id in ("a", "b"):
        end(store, job_id, State.SUCCEEDED)
        put(disk, clock, f"originals/{job_id}", f"stems/{job_id}/1/drums.wav")
    clock.advance(KEPT)
    disk.stuck = frozenset({"stems/a"})
    assert expiry.sweep() == 1
    assert [job.id for job in stored(database)] == ["a"]
    disk.stuck = frozenset()
    assert expiry.sweep() == 1
    assert (keys(disk), stored(database)) == (set(), [])


def test_files_without_a_job_go_after_a_grace(
    disk: Disk, expiry: Expiry, clock: ManualClock
) -> None:
    old = ["originals/x", "stems/x/1/drums.wav", "uploads/x", "partial/x", "parts/x/e"]
    put(disk, clock, *old)
    clock.advance(GRACE)
    put(disk, clock, "originals/y", "partial/y")
    clock.advance(1)
    assert expiry.sweep_orphans(GRACE) == len(old)
    assert keys(disk) == {"originals/y", "partial/y"}


def test_many_jobs_are_looked_up_in_batches(
    store: SongStore,
    disk: Disk,
    expiry: Expiry,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Databases take only so many values in one statement."""
    monkeypatch.setattr("serve_app.jobs.expiry._FOUND_AT_ONCE", 2)
    asked: list[int] = []
    find_all = store.find

    def find(job_ids: Collection[str]) -> Mapping[str, SeparationJob]:
        asked.append(len(job_ids))
        return find_all(job_ids)

    monkeypatch.setattr(store, "find", find)
    known, unknown = ("a", "c", "e"), ("b", "d", "f", "g")
    for job_id in known:
        store.add(new_job(job_id))
    put(disk, clock, *(f"originals/{job_id}" for job_id in known + unknown))
    clock.advance(GRACE + 1)
    assert expiry.sweep_orphans(GRACE) == len(unknown)
    assert keys(disk) == {f"originals/{job_id}" for job_id in known}
    assert asked == [2, 2, 2, 1]


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        (State.QUEUED, set()),
        (State.RUNNING, {"stems/a/2/drums.wav"}),
        (State.SUCCEEDED, {"stems/a/2/drums.wav"}),
        (State.FAILED, set()),
        (State.CANCELLED, set()),
    ],
)
def test_only_the_attempt_that_counts_keeps_its_stems(
    store: SongStore,
    disk: Disk,
    expiry: Expiry,
    clock: ManualClock,
    state: State,
    kept: set[str],
) -> None:
    store.add(new_job("a", state=state, owner="me", attempt=2))
    stems = [f"stems/a/{attempt}/drums.wav" for attempt in (1, 2, 22)]
    put(disk, clock, "originals/a", *stems)
    clock.advance(GRACE + 1)
    expiry.sweep_orphans(GRACE)
    assert keys(disk) == kept | {"originals/a"}


@pytest.mark.parametrize("state", State)
def test_parts_are_kept_as_long_as_an_attempt_may_go_on_with_them(
    store: SongStore, disk: Disk, expiry: Expiry, clock: ManualClock, state: State
) -> None:
    store.add(new_job("a", state=state, owner="me", attempt=2))
    put(disk, clock, "parts/a/demo-1/000000.npy")
    clock.advance(GRACE + 1)
    assert expiry.sweep_orphans(GRACE) == state.is_final


def test_files_outside_of_the_layout_are_left_alone(
    disk: Disk, expiry: Expiry, clock: ManualClock
) -> None:
    put(disk, clock, "archive/song", "health/probe")
    clock.advance(timedelta(days=9).total_seconds())
    assert expiry.sweep_orphans(GRACE) == 0
    assert keys(disk) == {"archive/song", "health/probe"}


def test_uploads_are_spared_for_as_long_as_they_may_take(
    disk: Disk, expiry: Expiry, clock: ManualClock
) -> None:
    """In S3 a file is as old as the upload that made it."""
    more_seconds = {"uploads": 600.0}
    put(disk, clock, "uploads/a/7", "originals/a")
    clock.advance(GRACE + 600)
    assert expiry.sweep_orphans(GRACE, more_seconds) == 1
    assert keys(disk) == {"uploads/a/7"}
    clock.advance(1)
    assert expiry.sweep_orphans(GRACE, more_seconds) == 1
    assert keys(disk) == set()
