"""Every store gets all media, and loses what was taken down, on every database."""

import asyncio
import hashlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from serve_app.archive import kind
from serve_app.archive.copier import Copier
from serve_app.archive.copies import CHECK_SECONDS, Copies
from serve_app.archive.identity import Identity
from serve_app.archive.kind import Fetch, Stored
from serve_app.archive.media import Asked, Known, Media, MediaStore
from serve_app.archive.stores import MediaStores, Store, StoreFacts
from serve_app.database import Database
from serve_app.jobs.job import Job, State
from serve_app.jobs.store import JobStore
from serve_app.settings import Settings
from serve_app.storage.local import LocalStorage
from tests.flaky import Flaky
from tests.jobs import ManualClock

MEDIA = bytes(range(256)) * 4096
NAMES = ("one", "two", "three")
HOUR, DAY = 3600.0, 24 * 3600.0


@dataclass
class Archive:
    """An archive with three stores on a database, with its clock."""

    database: Database
    clock: ManualClock
    root: Path
    disks: dict[str, Flaky] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.root.mkdir(exist_ok=True)
        for name in NAMES:
            self.disks[name] = Flaky(self.root / name)
        self.file = self.root / "media.mp4"
        self.file.write_bytes(MEDIA)
        self.begin(NAMES)

    def begin(self, names: tuple[str, ...]) -> None:
        """Start a process with these stores."""
        settings = Settings(data_dir=self.root / "data", archive_reserve_bytes=0)
        self.stores = MediaStores(
            settings,
            lambda _: [
                Store(StoreFacts(name, number, name), self.disks[name])
                for number, name in enumerate(names, 1)
            ],
        )
        self.media = MediaStore(self.database, self.clock, names)
        self.copies = self.process()

    def process(self) -> Copies:
        """Return the copies of another process."""
        return Copies(self.database, self.media, self.stores, self.clock)

    @property
    def jobs(self) -> JobStore[Fetch, Stored]:
        return JobStore(
            self.database,
            self.clock,
            kind.configured(Settings()),
            settle=self.media.settle,
        )

    def ask(self, episode: int = 1) -> str:
        """Ask for an episode as `/trigger` does; return the key."""
        identity = Identity(1, episode, "provider")
        fetch = Fetch(identity.key, "https://example.com/a.mp4", identity)
        job_id = f"{episode}-{self.clock.now.timestamp():.0f}"
        job: Job[Fetch, Stored] = Job(
            job_id,
            fetch,
            State.QUEUED,
            created_at=self.clock.now,
            updated_at=self.clock.now,
        )
        known = self.jobs.add(job, Asked(fetch, job_id))
        assert not isinstance(known, Known)
        return identity.key

    def finish(self, episode: int = 1) -> str:
        """Store the episode that was asked for; return where."""
        (job,) = self.jobs.claim("me", lease_seconds=30, include_alone=True)
        object_key = f"1/ep{episode}/{episode:032x}.mp4"
        first = self.stores.put_first(object_key, self.file)
        sha256 = hashlib.sha256(MEDIA).hexdigest()
        stored = Stored(object_key, first, len(MEDIA), sha256, "video/mp4")
        self.jobs.succeed(job.claim, stored)
        return object_key

    def archived(self, episode: int = 1) -> Media:
        """Return an episode that one store has."""
        key = self.ask(episode)
        self.finish(episode)
        return self.media.find(key)

    def sweep(self) -> int:
        """Do all work that is due; return how much it was."""
        done = 0
        while self.copies.work():
            done += 1
        return done

    def check(self) -> int:
        """Check all copies that are due; return how many."""
        done = 0
        while self.copies.check():
            done += 1
        return done

    def holders(self) -> set[str]:
        return {
            name
            for name, disk in self.disks.items()
            if any(LocalStorage.list(disk, ""))
        }


@pytest.fixture
def archive(database: Database, clock: ManualClock, tmp_path: Path) -> Archive:
    return Archive(database, clock, tmp_path / "archive")


def object_key(media: Media) -> str:
    assert media.object_key is not None
    return media.object_key


def test_one_copy_makes_it_ready_and_the_others_follow(archive: Archive) -> None:
    media = archive.archived()
    assert media.is_ready
    assert archive.holders() == {media.store}
    assert archive.copies.waiting() == 2
    assert archive.sweep() == 2
    assert archive.holders() == set(NAMES)
    assert archive.copies.waiting() == 0
    for disk in archive.disks.values():
        assert b"".join(disk.read(object_key(media))) == MEDIA
    assert archive.sweep() == 0


@pytest.mark.parametrize("name", NAMES)
def test_one_failing_store_of_three_is_repaired_when_it_is_back(
    archive: Archive, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    archive.disks[name].is_down = True
    media = archive.archived()
    assert media.is_ready
    archive.sweep()
    assert archive.holders() == set(NAMES) - {name}
    assert b"".join(archive.stores.read(object_key(media))) == MEDIA
    archive.clock.advance(DAY)
    archive.sweep()
    archive.disks[name].is_down = False
    archive.clock.advance(HOUR)
    with caplog.at_level(logging.INFO):
        archive.sweep()
    assert archive.holders() == set(NAMES)
    assert f"copy made store={name}" in caplog.text


def test_attempts_come_after_one_minute_then_less_often_and_are_logged_once(
    archive: Archive, caplog: pytest.LogCaptureFixture
) -> None:
    archive.disks["two"].is_down = True
    media = archive.archived()
    assert media.store != "two"
    archive.sweep()
    waits = []
    for _ in range(9):
        waited = 0
        while archive.sweep() == 0:
            archive.clock.advance(60)
            waited += 1
        waits.append(waited)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert caplog.text.count("copy not made yet") == 1


def test_several_processes_make_each_copy_once(archive: Archive) -> None:
    for episode in range(8):
        archive.archived(episode)
    processes = [archive.process() for _ in range(4)]
    start = threading.Barrier(4)

    def work(copies: Copies) -> int:
        start.wait()
        done = 0
        while copies.work():
            done += 1
        return done

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(work, processes))
    assert sum(done) == 16
    puts = [key for disk in archive.disks.values() for key in disk.puts]
    assert len(puts) == 24
    assert archive.copies.waiting() == 0


def test_nothing_is_written_while_nothing_is_due(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.archived()
    archive.sweep()

    def refuse() -> None:
        raise AssertionError("a transaction that writes")

    monkeypatch.setattr(archive.database, "writing", refuse)
    assert not archive.copies.work()
    assert not archive.copies.check()


def test_the_copy_of_a_killed_process_is_made_by_another(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.archived()

    class Killed(BaseException):
        """The process ends."""

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(archive.stores, "copy_to", die)
        with pytest.raises(Killed):
            archive.copies.work()
    assert archive.sweep() == 1
    archive.clock.advance(62)
    assert archive.sweep() == 1
    assert archive.holders() == set(NAMES)


def test_a_copy_that_was_lost_is_made_again(
    archive: Archive, caplog: pytest.LogCaptureFixture
) -> None:
    media = archive.archived()
    archive.sweep()
    archive.clock.advance(CHECK_SECONDS)
    assert archive.check() == 3
    assert archive.check() == 0
    LocalStorage.delete(archive.disks["two"], object_key(media))
    short = archive.root / "short"
    short.write_bytes(MEDIA[:-1])
    archive.disks["three"].put(object_key(media), short)
    archive.clock.advance(CHECK_SECONDS)
    assert archive.check() == 3
    assert caplog.text.count("copy lost") == 2
    archive.sweep()
    assert archive.holders() == set(NAMES)
    assert b"".join(archive.disks["three"].read(object_key(media))) == MEDIA


def test_a_store_that_can_not_be_checked_has_lost_nothing(archive: Archive) -> None:
    archive.archived()
    archive.sweep()
    for disk in archive.disks.values():
        disk.is_down = True
    archive.clock.advance(CHECK_SECONDS)
    assert archive.check() == 3
    assert archive.copies.waiting() == 0
    for disk in archive.disks.values():
        disk.is_down = False
    archive.clock.advance(600)
    assert archive.check() == 3


def test_what_no_store_has_is_fetched_again_after_hours_and_not_before(
    archive: Archive, caplog: pytest.LogCaptureFixture
) -> None:
    media = archive.archived()
    archive.sweep()
    for disk in archive.disks.values():
        LocalStorage.delete(disk, object_key(media))
    archive.clock.advance(CHECK_SECONDS)
    archive.check()
    archive.sweep()
    archive.clock.advance(1.5 * HOUR)
    archive.sweep()
    assert archive.media.find(media.key).is_ready
    for _ in range(10):
        archive.clock.advance(HOUR)
        archive.sweep()
    lost = archive.media.find(media.key)
    assert not lost.is_ready
    assert lost.error_code == "media_lost"
    assert [each.key for each in archive.media.due(10)] == [media.key]
    assert caplog.text.count("archived media lost") == 1
    archive.ask()
    archive.finish()
    archive.sweep()
    assert archive.holders() == set(NAMES)


def test_a_store_that_is_added_gets_everything(archive: Archive) -> None:
    archive.begin(("one", "two"))
    media = [archive.archived(episode) for episode in range(3)]
    archive.sweep()
    assert archive.holders() == {"one", "two"}
    archive.begin(NAMES)
    archive.copies.plan()
    archive.process().plan()
    assert archive.sweep() == 3
    keys = {file.key for file in archive.disks["three"].list("")}
    assert keys == {each.object_key for each in media}


def test_a_store_that_is_removed_is_forgotten(archive: Archive) -> None:
    before = [archive.archived(episode) for episode in range(6)]
    assert {each.store for each in before} == set(NAMES)
    archive.sweep()
    archive.disks["one"].is_down = True
    after = archive.archived(6)
    archive.sweep()
    assert archive.copies.waiting() == 1
    archive.begin(("two", "three"))
    archive.copies.plan()
    assert archive.copies.waiting() == 0
    for each in (*before, after):
        found = archive.media.find(each.key)
        assert found.is_ready
        assert found.store in ("two", "three")


def test_plans_are_made_once_in_an_hour(archive: Archive) -> None:
    archive.copies.plan()
    archive.media = MediaStore(archive.database, archive.clock)
    archive.archived()
    archive.copies.plan()
    assert archive.copies.waiting() == 0
    archive.clock.advance(HOUR)
    archive.copies.plan()
    assert archive.copies.waiting() == 2


def test_media_that_is_taken_down_is_deleted_everywhere(archive: Archive) -> None:
    media = archive.archived()
    other = archive.archived(2)
    archive.sweep()
    archive.media.block(media.key)
    assert archive.sweep() == 3
    left = [file.key for disk in archive.disks.values() for file in disk.list("")]
    assert left == [object_key(other)] * 3
    assert archive.copies.waiting() == 0


def test_a_deletion_waits_for_a_store_that_is_away(
    archive: Archive, caplog: pytest.LogCaptureFixture
) -> None:
    media = archive.archived()
    archive.sweep()
    archive.disks["two"].is_down = True
    archive.media.block(media.key)
    archive.sweep()
    assert archive.holders() == {"two"}
    archive.clock.advance(30 * DAY)
    archive.begin(NAMES)
    archive.copies.plan()
    archive.sweep()
    assert archive.copies.waiting() == 1
    archive.disks["two"].is_down = False
    archive.clock.advance(HOUR)
    archive.sweep()
    assert archive.holders() == set()
    assert archive.copies.waiting() == 0
    assert caplog.text.count("copy not deleted yet") == 1


def test_a_copy_under_way_does_not_outlive_a_deletion(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    media = archive.archived()
    copy_to = archive.stores.copy_to

    def copy_and_delete(*arguments: object) -> None:
        copy_to(*arguments)  # type: ignore[arg-type]
        archive.media.block(media.key)

    with monkeypatch.context() as patch:
        patch.setattr(archive.stores, "copy_to", copy_and_delete)
        archive.copies.work()
    archive.sweep()
    assert archive.holders() == set()
    assert archive.copies.waiting() == 0


def test_media_that_is_taken_down_while_it_is_fetched_is_not_kept(
    archive: Archive,
) -> None:
    key = archive.ask()
    archive.media.block(key)
    archive.finish()
    assert not archive.media.find(key).is_ready
    assert len(archive.holders()) == 1
    archive.sweep()
    assert archive.holders() == set()


def test_media_that_is_allowed_again_is_stored_everywhere_again(
    archive: Archive,
) -> None:
    media = archive.archived()
    archive.sweep()
    archive.disks["two"].is_down = True
    archive.media.block(media.key)
    archive.sweep()
    archive.media.allow(media.key)
    archive.clock.advance(1)
    archive.ask()
    archive.finish()
    archive.disks["two"].is_down = False
    archive.sweep()
    assert archive.holders() == set(NAMES)
    assert archive.media.find(media.key).is_ready


def test_media_older_than_the_retention_is_deleted(archive: Archive) -> None:
    old = archive.archived()
    archive.sweep()
    archive.clock.advance(DAY)
    new = archive.archived(2)
    archive.sweep()
    assert archive.media.expire(DAY + 1) == 0
    archive.clock.advance(2)
    assert archive.media.expire(DAY + 1) == 1
    assert archive.media.expire(DAY + 1) == 0
    expired = archive.media.find(old.key)
    assert not expired.is_ready
    assert expired.error_code == "media_expired"
    assert archive.media.due(10) == []
    archive.sweep()
    left = {file.key for disk in archive.disks.values() for file in disk.list("")}
    assert left == {object_key(new)}
    archive.ask()


async def run_until(copier: Copier, is_done: Callable[[], bool]) -> None:
    """Run a copier until something is so, and its threads to their end."""
    task = asyncio.create_task(copier.run_forever())
    while not is_done():  # noqa: ASYNC110 - the database tells nobody.
        await asyncio.sleep(0.01)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    # Else one claims work from the next test's database, or from none.
    for thread in threading.enumerate():
        if thread.name.startswith("copier"):
            thread.join()


def test_the_copier_works_until_it_is_cancelled(archive: Archive) -> None:
    for episode in range(3):
        archive.archived(episode)
    copier = Copier(archive.copies, at_once=2, poll_seconds=0.01)

    asyncio.run(run_until(copier, lambda: archive.copies.waiting() == 0))
    assert archive.holders() == set(NAMES)
    assert copier.status() == {"failing": None}


def test_the_copier_outlives_what_it_did_not_expect(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.archived()
    copier = Copier(archive.copies, at_once=1, poll_seconds=0.01)
    copy_to = archive.stores.copy_to

    def fail_once(*arguments: object) -> None:
        monkeypatch.setattr(archive.stores, "copy_to", copy_to)
        raise RuntimeError("It was not expected.")

    monkeypatch.setattr(archive.stores, "copy_to", fail_once)

    asyncio.run(run_until(copier, lambda: archive.copies.waiting() == 1))
    archive.clock.advance(62)
    asyncio.run(run_until(copier, lambda: archive.copies.waiting() == 0))
    assert archive.holders() == set(NAMES)
