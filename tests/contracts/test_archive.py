"""Media is fetched once, kept in one row, and tried again, on every database."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from sqlalchemy import select

from serve_app.archive import kind
from serve_app.archive.copy_rows import archive_copies
from serve_app.archive.errors import MediaBlocked, MediaNotFound, NotAllowed
from serve_app.archive.identity import Identity
from serve_app.archive.kind import ArchiveJob, Fetch, Stage, Stored
from serve_app.archive.media import (
    RETRY_SECONDS,
    Known,
    MediaState,
    MediaStore,
)
from serve_app.archive.sources import Sources
from serve_app.archive.triggers import Triggers
from serve_app.database import Database
from serve_app.errors import RefusedUrl
from serve_app.jobs.store import JobStore
from serve_app.settings import Settings
from tests.jobs import ManualClock

EPISODE = Identity(1234, 5, "example", "720p")
URL = "https://cdn.example.com/a.mp4"
FETCH = Fetch(EPISODE.key, URL, EPISODE)
STORED = Stored("1234/ep5/ab.mp4", "two", 17, "cd" * 32, "video/mp4", 20, 1.5)


@dataclass
class Archive:
    """The archive on a database, with its clock."""

    database: Database
    clock: ManualClock

    def __post_init__(self) -> None:
        self.media = MediaStore(self.database, self.clock, ["one", "two", "three"])
        self.jobs = JobStore(
            self.database,
            self.clock,
            kind.configured(Settings(archive_downloads=5)),
            settle=self.media.settle,
        )
        allowed = Sources(("*.example.com",))
        self.triggers = Triggers(self.jobs, self.media, allowed, self.clock)

    def claimed(self) -> ArchiveJob:
        (job,) = self.jobs.claim("me", lease_seconds=30, include_alone=True)
        return job

    def fail(self, code: str = "source_failed") -> None:
        self.jobs.fail(self.claimed().claim, code, "It is so.")

    def state(self, key: str = EPISODE.key) -> MediaState:
        return self.media.state(self.media.find(key))


@pytest.fixture
def archive(database: Database, clock: ManualClock) -> Archive:
    return Archive(database, clock)


def test_media_goes_through_the_states_of_its_job(archive: Archive) -> None:
    assert archive.triggers.add(FETCH) is None
    assert archive.state() is MediaState.PENDING
    job = archive.claimed()
    assert (job.request, job.lane) == (FETCH, "cdn.example.com")
    assert archive.state() is MediaState.DOWNLOADING
    archive.jobs.report(job.claim, Stage.UPLOAD, 0.9)
    assert archive.state() is MediaState.UPLOADING
    archive.jobs.succeed(job.claim, STORED)
    assert archive.state() is MediaState.READY
    media = archive.media.find(EPISODE.key)
    assert (media.object_key, media.store) == (STORED.object_key, STORED.store)
    assert (media.size_bytes, media.sha256) == (STORED.size_bytes, STORED.sha256)
    assert media.identity == EPISODE
    assert archive.media.find_object(STORED.object_key) == media


def test_one_copy_is_made_and_the_others_are_planned(archive: Archive) -> None:
    archive.triggers.add(FETCH)
    archive.jobs.succeed(archive.claimed().claim, STORED)
    query = select(archive_copies.c.store, archive_copies.c.stored_at)
    with archive.database.reading() as connection:
        found = {store: at is not None for store, at in connection.execute(query)}
    assert found == {"one": False, "two": True, "three": False}


@pytest.mark.parametrize("is_running", [False, True])
def test_media_is_asked_for_once_and_keeps_the_newest_url(
    archive: Archive, is_running: bool
) -> None:
    archive.triggers.add(FETCH)
    if is_running:
        archive.claimed()
    newer = Fetch(EPISODE.key, f"{URL}?token=2", EPISODE)
    known = archive.triggers.add(newer)
    expected = MediaState.DOWNLOADING if is_running else MediaState.PENDING
    assert isinstance(known, Known)
    assert known.state is expected
    assert archive.media.find(EPISODE.key).url == newer.url
    assert sum(archive.jobs.counts().values()) == 1


def test_triggers_at_once_are_one_job(archive: Archive) -> None:
    def add(number: int) -> Known | None:
        return archive.triggers.add(
            Fetch(EPISODE.key, f"{URL}?token={number}", EPISODE)
        )

    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(add, range(16)))
    assert added.count(None) == 1
    assert sum(archive.jobs.counts().values()) == 1


def test_media_that_is_ready_is_not_fetched_again(archive: Archive) -> None:
    archive.triggers.add(FETCH)
    archive.jobs.succeed(archive.claimed().claim, STORED)
    known = archive.triggers.add(FETCH)
    assert isinstance(known, Known)
    assert known.state is MediaState.READY


def test_media_that_failed_starts_again_when_asked_for(archive: Archive) -> None:
    archive.triggers.add(FETCH)
    archive.fail()
    assert archive.state() is MediaState.FAILED
    assert archive.media.find(EPISODE.key).error == "It is so."
    assert archive.triggers.add(FETCH) is None
    assert archive.state() is MediaState.PENDING


def test_media_that_failed_comes_again_later_and_later_and_then_no_more(
    archive: Archive, clock: ManualClock
) -> None:
    archive.triggers.add(FETCH)
    archive.fail()
    for seconds in RETRY_SECONDS:
        clock.advance(seconds - 1)
        assert archive.triggers.retry_due() == 0
        clock.advance(1)
        assert archive.triggers.retry_due() == 1
        archive.fail()
    clock.advance(30 * 24 * 3600)
    assert archive.triggers.retry_due() == 0
    assert archive.media.find(EPISODE.key).failures == 1 + len(RETRY_SECONDS)


def test_a_retry_has_the_newest_url(archive: Archive, clock: ManualClock) -> None:
    archive.triggers.add(FETCH)
    job = archive.claimed()
    newer = Fetch(EPISODE.key, "https://other.example.com/b.mp4", EPISODE)
    archive.triggers.add(newer)
    archive.jobs.fail(job.claim, "source_failed", "It is so.")
    clock.advance(RETRY_SECONDS[0])
    archive.triggers.retry_due()
    assert archive.claimed().request == newer


def test_media_that_is_protected_does_not_come_again(
    archive: Archive, clock: ManualClock
) -> None:
    archive.triggers.add(FETCH)
    archive.fail("protected_media")
    clock.advance(2 * RETRY_SECONDS[-1])
    assert archive.triggers.retry_due() == 0


def test_media_of_a_host_that_is_not_allowed_any_more_is_given_up(
    archive: Archive, clock: ManualClock
) -> None:
    archive.triggers.add(FETCH)
    archive.fail()
    clock.advance(RETRY_SECONDS[0])
    elsewhere = Triggers(archive.jobs, archive.media, Sources(("a.org",)), clock)
    assert elsewhere.retry_due() == 0
    assert archive.media.find(EPISODE.key).error_code == "refused_url"
    assert elsewhere.retry_due() == 0


def test_failures_are_tried_again_in_bulk_by_host_and_age(
    archive: Archive, clock: ManualClock
) -> None:
    for name in ("a", "b", "c"):
        archive.triggers.add(Fetch(name, f"https://{name}.example.com/x"))
        archive.fail()
        clock.advance(10)
    now = clock()
    assert archive.triggers.retry_failed("b.example.com", now, 10) == 1
    assert archive.triggers.retry_failed("b.example.com", now, 10) == 0
    assert archive.state("b") is MediaState.PENDING
    archive.claimed()
    assert archive.triggers.retry_failed("", now, 1) == 1
    assert archive.triggers.retry_failed("", now, 10) == 1


def test_media_that_was_taken_down_stays_out_until_it_is_allowed(
    archive: Archive, clock: ManualClock
) -> None:
    archive.triggers.add(FETCH)
    archive.jobs.succeed(archive.claimed().claim, STORED)
    assert archive.media.block(EPISODE.key).object_key == STORED.object_key
    assert archive.media.find_object(STORED.object_key) is None
    with pytest.raises(MediaBlocked):
        archive.triggers.add(FETCH)
    clock.advance(2 * RETRY_SECONDS[-1])
    assert archive.triggers.retry_due() == 0
    assert archive.triggers.retry_failed("", clock(), 10) == 0
    archive.media.allow(EPISODE.key)
    assert archive.triggers.add(FETCH) is None


def test_a_take_down_stops_the_job(archive: Archive) -> None:
    archive.triggers.add(FETCH)
    job = archive.claimed()
    media = archive.media.block(EPISODE.key)
    archive.triggers.cancel(media)
    archive.jobs.succeed(job.claim, STORED)
    assert archive.media.find_object(STORED.object_key) is None
    assert archive.media.counts() == dict.fromkeys(MediaState, 0)


def test_media_is_counted_by_its_state(archive: Archive) -> None:
    for number in range(4):
        archive.triggers.add(Fetch(f"key {number}", URL))
    archive.fail()
    archive.jobs.succeed(archive.claimed().claim, STORED)
    archive.claimed()
    assert archive.media.counts() == {
        MediaState.PENDING: 1,
        MediaState.DOWNLOADING: 1,
        MediaState.UPLOADING: 0,
        MediaState.READY: 1,
        MediaState.FAILED: 1,
    }
    assert len(archive.media.unfinished()) == 2


def test_nothing_is_fetched_from_hosts_that_are_not_allowed(archive: Archive) -> None:
    with pytest.raises(RefusedUrl, match=r"evil\.org"):
        archive.triggers.add(Fetch("a", "https://evil.org/a.mp4"))
    nowhere = Triggers(archive.jobs, archive.media, Sources(()), archive.clock)
    with pytest.raises(NotAllowed, match="STEMSERVE_ARCHIVE_HOSTS"):
        nowhere.add(FETCH)
    with pytest.raises(MediaNotFound):
        archive.media.find("a")


def test_media_is_stuck_if_nothing_fetches_what_could_be(
    archive: Archive, clock: ManualClock
) -> None:
    archive.triggers.add(FETCH)
    clock.advance(59)
    assert not archive.media.is_stuck()
    clock.advance(2)
    assert archive.media.is_stuck()
    archive.jobs.pause("cdn.example.com", 3600)
    assert not archive.media.is_stuck()
    clock.advance(3600 + 59)
    assert not archive.media.is_stuck()
    clock.advance(2)
    assert archive.media.is_stuck()
    archive.claimed()
    assert not archive.media.is_stuck()
    clock.advance(31)
    archive.triggers.add(Fetch("other", URL))
    clock.advance(61)
    assert archive.media.is_stuck()


def test_media_waits_for_its_own_source_only(
    archive: Archive, clock: ManualClock
) -> None:
    archive.triggers.add(FETCH)
    archive.triggers.add(Fetch("other", "https://other.example.com/a.mp4"))
    archive.jobs.pause("cdn.example.com", 60)
    waits, other = archive.media.find(EPISODE.key), archive.media.find("other")
    until = archive.media.waits_until(waits)
    assert until is not None
    assert (until - clock()).total_seconds() == 60
    assert archive.media.waits_until(other) is None
    clock.advance(61)
    assert archive.media.waits_until(waits) is None


def test_what_was_stored_before_is_deleted_and_kept_out(archive: Archive) -> None:
    media = archive.media.block_earlier(EPISODE, URL, STORED.object_key)
    assert media.key == EPISODE.key
    with pytest.raises(MediaBlocked):
        archive.triggers.add(FETCH)
    with archive.database.reading() as connection:
        rows = connection.execute(select(archive_copies)).all()
    assert {row.store for row in rows} == {"one", "two", "three"}
    assert {(row.object_key, row.wanted) for row in rows} == {
        (STORED.object_key, False)
    }
    assert archive.media.urls_taken_down() == {URL}


def test_keys_of_any_length_and_script_are_kept_apart(archive: Archive) -> None:
    for key in ("ü" * 900, "ü" * 901, "a b", "a  b"):
        assert archive.triggers.add(Fetch(key, URL)) is None
        assert archive.media.find(key).key == key
