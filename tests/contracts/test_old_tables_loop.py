"""The archive and the API server meet in the old tables, and nowhere else."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from sqlalchemy import update

from serve_app.archive.errors import MediaNotFound, NotAllowed
from serve_app.archive.identity import Identity, object_key
from serve_app.archive.kind import ArchiveJob, Fetch, Stage, Stored, configured
from serve_app.archive.media import (
    RETRY_SECONDS,
    Asked,
    Known,
    Media,
    MediaState,
    MediaStore,
    archive_media,
)
from serve_app.archive.old_tables import mirror
from serve_app.archive.old_tables.changes import Changes
from serve_app.archive.old_tables.earlier import Earlier
from serve_app.archive.old_tables.errors import TablesUnavailable
from serve_app.archive.old_tables.mirror import OldTablesLoop
from serve_app.archive.old_tables.outward import Archive
from serve_app.archive.old_tables.postgres import PostgresTables
from serve_app.archive.old_tables.rest import RestTables
from serve_app.archive.old_tables.rows import Place
from serve_app.archive.old_tables.tables import OldTables
from serve_app.database import Database
from serve_app.errors import AppError, QueueFull
from serve_app.jobs.job import Job, State
from serve_app.jobs.store import JobStore
from serve_app.settings import Settings
from tests.jobs import ManualClock
from tests.old_tables import postgrest
from tests.old_tables.api_server import ApiServer

KNOWN = Identity(1234, 5, "first", "720p")
NULL = Identity(1234, 6, "second")
# It has the key of the resolution `unknown`.
NULL_TWIN = Identity(1234, 5, "first")
URL, NEWER_URL = "https://a.example/1.mp4", "https://a.example/2.mp4"
PUBLIC = "https://stream.example"
# For rows that the API server's insert did not make.
LATER = 15.0


def place(key: str, store: str) -> Place:
    return Place(int(store), "me/videos", key, f"{PUBLIC}/media/{key}")


class Switched:
    """Tables that can be away."""

    def __init__(self, tables: PostgresTables | RestTables) -> None:
        self.tables = tables
        self.is_away = False
        self.writes = 0

    def __getattr__(self, name: str) -> Any:
        if self.is_away:
            raise TablesUnavailable("The tables are away.")
        self.writes += name in ("insert", "update", "delete")
        return getattr(self.tables, name)


@dataclass
class Service:
    """The archive without its downloads: these end as a test says."""

    database: Database
    clock: ManualClock
    tables: Switched
    full: bool = False
    fetched: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.media = MediaStore(self.database, self.clock, ["1", "2"])
        kind = configured(Settings())
        self.jobs = JobStore(self.database, self.clock, kind, settle=self.media.settle)
        self.old = OldTables(self.tables, self.clock)
        self.loop = self.new_loop()

    def new_loop(self) -> OldTablesLoop:
        """Return another dispatcher's loop."""
        changes = Changes(self.database, self.clock)
        archive = Archive(
            self.add, self.jobs.cancel, self.give_up, place, PUBLIC, self.clock
        )
        return OldTablesLoop(self.old, changes, archive)

    def earlier(self, *repositories: str) -> Earlier:
        """Return what the API reads of the tables."""
        return Earlier(self.old, self.media, repositories)

    def give_up(self, key: str, error: AppError) -> None:
        """Record why media is not tried again."""
        changes = {
            "error": error.detail,
            "error_code": error.code,
            "next_try_at": None,
            "updated_at": self.clock(),
        }
        own = archive_media.c.key == key
        with self.database.writing() as connection:
            connection.execute(update(archive_media).where(own).values(**changes))

    def add(self, fetch: Fetch) -> None:
        """Add a job, as `/trigger` does."""
        if self.full:
            raise QueueFull("The queue is full.", 5)
        if urlsplit(fetch.url).hostname != "a.example":
            raise NotAllowed("The host is not in ARCHIVE_HOSTS.")
        job: ArchiveJob = Job(
            uuid4().hex, fetch, State.QUEUED, self.clock(), self.clock()
        )
        known = self.jobs.add(job, Asked(fetch, job.id))
        assert known is None or isinstance(known, Known)

    def trigger(self, identity: Identity, url: str = URL) -> None:
        """Take a trigger of the API."""
        self.add(Fetch(identity.key, url, identity))

    def start(self) -> ArchiveJob:
        """Start the next download."""
        (job,) = self.jobs.claim("me", lease_seconds=3600, include_alone=True)
        self.jobs.report(job.claim, Stage.DOWNLOAD, 0.0)
        self.fetched.append(self.media.find(job.request.key).url)
        return job

    def succeed(self, job: ArchiveJob | None = None, store: str = "1") -> ArchiveJob:
        """End a download."""
        job = job or self.start()
        assert job.request.identity is not None
        key = object_key(job.request.identity, "salt")
        stored = Stored(key, store, 4, "00ff", "video/mp4")
        return self.jobs.succeed(job.claim, stored)

    def fail(self, job: ArchiveJob | None = None) -> None:
        """Let a download fail."""
        job = job or self.start()
        self.jobs.fail(job.claim, "source_failed", "The source answered 404.")

    def retry_due(self) -> int:
        """Add the jobs of media that failed a while ago."""
        due = self.media.due(10)
        for media in due:
            self.add(Fetch(media.key, media.url, media.identity))
        return len(due)

    def step(self, seconds: float = 5.0) -> None:
        """Let the loop work after some time."""
        self.clock.advance(seconds)
        self.loop.step()

    def unfinished(self) -> int:
        return sum(self.jobs.counts([State.QUEUED, State.RUNNING]).values())

    def state(self, identity: Identity) -> MediaState:
        return self.media.state(self.found(identity))

    def found(self, identity: Identity) -> Media:
        return self.media.find(identity.key)


@pytest.fixture(params=["sqlite and rest", "postgres and direct"])
def service(
    request: pytest.FixtureRequest, api: ApiServer, clock: ManualClock
) -> Iterator[Service]:
    kernel, _, way = request.param.partition(" and ")
    tables: PostgresTables | RestTables
    with ExitStack() as stack:
        url = request.getfixturevalue(f"{kernel}_url")
        database = stack.enter_context(Database(url))
        if way == "rest":
            server = stack.enter_context(postgrest.serving(api.url))
            tables = RestTables(server.url, postgrest.KEY)
        else:
            tables = PostgresTables(api.url)
        stack.callback(tables.close)
        yield Service(database, clock, Switched(tables))


def queue(api: ApiServer, identity: Identity = KNOWN) -> dict[str, Any]:
    row = api.queue(identity)
    assert row is not None, api.rows("video_queue", identity)
    return row


def status(api: ApiServer, identity: Identity = KNOWN) -> str:
    return str(queue(api, identity)["status"])


def set_pending(api: ApiServer) -> None:
    """Do what an operator does by hand."""
    api.run("UPDATE video_queue SET status = 'pending'")


IDENTITIES = pytest.mark.parametrize("identity", [KNOWN, NULL], ids=["720p", "null"])


@IDENTITIES
def test_a_row_without_a_trigger_is_fetched_and_shows_each_state(
    service: Service, api: ApiServer, identity: Identity
) -> None:
    api.enqueue(identity, URL)
    service.step()
    assert (status(api, identity), service.unfinished()) == ("pending", 1)
    job = service.start()
    service.step()
    assert status(api, identity) == "downloading"
    service.jobs.report(job.claim, Stage.UPLOAD, 0.9)
    service.step()
    assert (status(api, identity), api.stored(identity)) == ("uploading", None)
    service.succeed(job, store="2")
    service.step()
    assert status(api, identity) == "ready"
    key = object_key(identity, "salt")
    row = api.stored(identity)
    assert row is not None
    resolution = identity.resolution or "unknown"
    expected = {
        "file_key": key.rpartition("/")[2].removesuffix(".mp4"),
        "hf_account": 2,
        "hf_repo": "me/videos",
        "hf_path": key,
        "hf_direct_url": f"{PUBLIC}/media/{key}",
        "stream_url": f"{PUBLIC}/stream/1234/{identity.episode}/{identity.provider}/"
        f"{resolution}",
    }
    assert {name: row[name] for name in expected} == expected
    assert service.fetched == [URL]


@IDENTITIES
def test_a_trigger_may_come_before_its_row(
    service: Service, api: ApiServer, identity: Identity
) -> None:
    service.trigger(identity)
    service.step(1.0)
    assert api.rows("video_queue", identity) == []
    api.enqueue(identity, URL)
    service.step()
    assert (status(api, identity), service.unfinished()) == ("pending", 1)
    service.succeed()
    service.step()
    assert (status(api, identity), service.unfinished()) == ("ready", 0)


@IDENTITIES
def test_a_row_that_comes_after_the_end_changes_nothing(
    service: Service, api: ApiServer, identity: Identity
) -> None:
    service.trigger(identity)
    service.succeed()
    service.step(1.0)
    assert api.stored(identity) is not None
    api.enqueue(identity, URL)
    service.step()
    assert (status(api, identity), service.unfinished()) == ("ready", 0)


def test_a_row_that_comes_after_a_failure_starts_nothing(
    service: Service, api: ApiServer
) -> None:
    """It is the row of the trigger that failed; retries are the archive's own."""
    service.trigger(KNOWN)
    service.fail()
    api.enqueue(KNOWN, URL)
    service.step()
    service.step()
    row = queue(api)
    assert (row["status"], row["retry_count"], service.unfinished()) == ("failed", 1, 0)
    assert row["error_message"] == "The source answered 404."


@IDENTITIES
def test_a_row_that_was_lost_is_made(
    service: Service, api: ApiServer, identity: Identity
) -> None:
    service.trigger(identity)
    service.step(LATER)
    assert status(api, identity) == "pending"
    assert queue(api, identity)["video_url"] == URL
    # If it comes after all, there is one row nevertheless.
    api.enqueue(identity, URL)
    service.step()
    service.step(60.0)
    assert (status(api, identity), service.unfinished()) == ("pending", 1)


def test_null_resolution_triggered_ten_times_is_one_row_and_one_job(
    service: Service, api: ApiServer
) -> None:
    for number in range(10):
        api.enqueue(NULL, f"https://a.example/{number}.mp4")
        service.trigger(NULL, f"https://a.example/{number}.mp4")
    assert api.queue(NULL) is None
    service.step()
    assert status(api, NULL) == "pending"
    for _ in range(3):
        api.enqueue(NULL, URL)
        service.step()
        assert (status(api, NULL), service.unfinished()) == ("pending", 1)
    service.succeed()
    api.enqueue(NULL, URL)
    service.step()
    assert (status(api, NULL), service.unfinished()) == ("ready", 0)
    assert api.stored(NULL) is not None
    assert service.fetched == [URL]


def test_duplicates_from_before_are_merged_within_a_minute(
    service: Service, api: ApiServer
) -> None:
    service.step()
    row = {**vars(NULL), "file_key": "k", "hf_repo": "r", "hf_path": "p"}
    for number in range(3):
        api.run(
            "INSERT INTO video_store (mal_id, episode, provider, resolution, file_key, "
            "hf_account, hf_repo, hf_path, hf_direct_url, stream_url) VALUES "
            "(%(mal_id)s, %(episode)s, %(provider)s, %(resolution)s, %(file_key)s, 1, "
            "%(hf_repo)s, %(hf_path)s, %(url)s, 's')",
            {**row, "url": f"https://hub.example/{number}"},
        )
        api.enqueue(NULL, URL)
    api.run("UPDATE video_queue SET status = 'ready'")
    service.step(60.0)
    assert status(api, NULL) == "ready"
    assert (api.stored(NULL) or {})["hf_direct_url"] == "https://hub.example/2"
    assert service.unfinished() == 0


def test_two_urls_for_one_identity_at_once_are_one_job_with_the_newest(
    service: Service, api: ApiServer
) -> None:
    service.trigger(KNOWN, URL)
    api.enqueue(KNOWN, URL)
    api.enqueue(KNOWN, NEWER_URL)
    service.step()
    assert service.unfinished() == 1
    assert service.found(KNOWN).url == queue(api)["video_url"] == NEWER_URL


def test_the_next_attempt_fetches_the_rows_newest_url(
    service: Service, api: ApiServer
) -> None:
    api.enqueue(KNOWN, URL)
    service.step()
    job = service.start()
    service.step()
    api.enqueue(KNOWN, NEWER_URL)
    service.step(60.0)
    assert (status(api), service.found(KNOWN).url) == ("downloading", NEWER_URL)
    service.fail(job)
    service.step()
    service.clock.advance(RETRY_SECONDS[0])
    service.retry_due()
    service.start()
    assert service.fetched == [URL, NEWER_URL]


def test_a_newer_trigger_gives_the_row_its_url(
    service: Service, api: ApiServer
) -> None:
    api.enqueue(KNOWN, URL)
    service.step()
    service.fail()
    service.step()
    service.trigger(KNOWN, NEWER_URL)
    service.step()
    assert (status(api), queue(api)["video_url"]) == ("pending", NEWER_URL)
    assert service.found(KNOWN).url == NEWER_URL


def test_retries_are_counted_and_not_hurried(service: Service, api: ApiServer) -> None:
    api.enqueue(KNOWN, URL)
    service.step()
    for number, seconds in enumerate(RETRY_SECONDS, 1):
        service.fail()
        service.step()
        row = queue(api)
        assert (row["status"], row["retry_count"]) == ("failed", number)
        service.step(60.0)
        assert service.unfinished() == 0
        service.clock.advance(seconds)
        assert service.retry_due() == 1
        service.step()
        assert (status(api), service.unfinished()) == ("pending", 1)
        assert queue(api)["error_message"] is None
    service.succeed()
    service.step()
    row = queue(api)
    assert (row["status"], row["retry_count"], row["error_message"]) == (
        "ready",
        len(RETRY_SECONDS),
        None,
    )


def test_an_operator_starts_what_has_failed_for_good(
    service: Service, api: ApiServer
) -> None:
    api.enqueue(KNOWN, URL)
    service.step()
    service.fail()
    service.step()
    set_pending(api)
    service.step()
    assert (status(api), service.unfinished()) == ("pending", 1)
    service.fail()
    service.step()
    row = queue(api)
    assert (row["status"], row["retry_count"], service.unfinished()) == ("failed", 2, 0)


def test_an_operators_word_is_not_overwritten_by_a_failure(
    service: Service, api: ApiServer
) -> None:
    api.enqueue(KNOWN, URL)
    service.step()
    job = service.start()
    service.step()
    service.fail(job)
    set_pending(api)
    # As if the row had been read just before.
    service.loop._outward.write_changed()
    assert status(api) == "pending"
    service.step()
    assert service.unfinished() == 1


def test_what_is_ready_stays_ready_if_an_operator_sets_it_back(
    service: Service, api: ApiServer
) -> None:
    api.enqueue(KNOWN, URL)
    service.step()
    service.succeed()
    service.step()
    set_pending(api)
    api.run("DELETE FROM video_store")
    service.step()
    assert (status(api), service.unfinished()) == ("ready", 0)
    assert api.stored(KNOWN) is not None


@pytest.mark.parametrize("left", ["downloading", "uploading"])
@IDENTITIES
def test_rows_that_a_crash_left_are_taken_up(
    service: Service, api: ApiServer, identity: Identity, left: str
) -> None:
    api.enqueue(identity, URL)
    api.run("UPDATE video_queue SET status = %(left)s", {"left": left})
    service.step()
    assert service.unfinished() == 1
    service.step()
    assert status(api, identity) == "pending"
    service.succeed()
    service.step()
    assert status(api, identity) == "ready"


def test_a_failed_medias_row_that_seems_to_run_is_taken_up(
    service: Service, api: ApiServer
) -> None:
    api.enqueue(KNOWN, URL)
    service.step()
    service.fail()
    service.step()
    api.run("SELECT claim_pending_videos(1)")
    api.run("UPDATE video_queue SET status = 'downloading'")
    service.step(60.0)
    assert service.unfinished() == 1


def test_a_running_row_has_its_one_job(service: Service, api: ApiServer) -> None:
    api.enqueue(KNOWN, URL)
    service.step()
    service.start()
    for _ in range(3):
        service.step(60.0)
        assert (status(api), service.unfinished()) == ("downloading", 1)
    api.run("UPDATE video_queue SET status = 'uploading'")
    service.step(60.0)
    assert (status(api), service.unfinished()) == ("downloading", 1)


def test_stored_rows_that_are_missing_are_written_again(
    service: Service, api: ApiServer
) -> None:
    for episode in (1, 2, 3):
        api.enqueue(Identity(1, episode, "first"), URL)
    service.step()
    for _ in range(3):
        service.succeed()
    service.step()
    before = api.run("SELECT * FROM video_store ORDER BY episode")
    api.run("DELETE FROM video_store WHERE episode = 2")
    # The second page ends the walk, the third begins it anew.
    service.step(60.0)
    service.step(60.0)
    after = api.run("SELECT * FROM video_store ORDER BY episode")
    assert [{**row, "created_at": None} for row in after] == [
        {**row, "created_at": None} for row in before
    ]


def test_what_the_original_stored_is_ready_and_not_fetched(
    service: Service, api: ApiServer
) -> None:
    api.run(
        "SELECT upsert_video_store(1234, 6, 'second', NULL, 'k', 3, 'r', 'p', "
        "'https://hub.example/old.mp4', 's')"
    )
    api.enqueue(NULL, URL)
    service.step()
    assert (status(api, NULL), service.unfinished()) == ("ready", 0)
    assert (api.stored(NULL) or {})["hf_direct_url"] == "https://hub.example/old.mp4"


OLD_ROW = (
    "SELECT upsert_video_store(1234, 5, 'first', '720p', 'k', 3, 'r', 'a/ep/k.mp4', "
    "'https://hub.example/old.mp4', 's')"
)


def test_a_row_of_the_original_stays_if_its_media_is_fetched_all_the_same(
    service: Service, api: ApiServer
) -> None:
    """As by a trigger while the tables were away."""
    service.trigger(KNOWN, URL)
    job = service.start()
    api.run(OLD_ROW)
    service.succeed(job)
    service.step(LATER)
    assert (api.stored(KNOWN) or {})["hf_direct_url"] == "https://hub.example/old.mp4"
    assert status(api) == "ready"


def test_what_the_original_stored_is_known_until_it_has_a_row_here(
    service: Service, api: ApiServer
) -> None:
    earlier = service.earlier()
    assert not earlier.has(KNOWN)
    api.run(OLD_ROW)
    assert earlier.has(KNOWN)
    service.tables.is_away = True
    assert not earlier.has(KNOWN)
    service.tables.is_away = False
    service.trigger(KNOWN, URL)
    assert not earlier.has(KNOWN)


def test_what_the_original_stored_can_be_taken_down(
    service: Service, api: ApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    api.run(OLD_ROW)
    earlier = service.earlier("r")
    for key in (NULL.key, "a song", "0:1:a:b", "1:2:3"):
        with pytest.raises(MediaNotFound):
            earlier.take_down(key)
    assert earlier.take_down(KNOWN.key).key == KNOWN.key
    assert "delete it by hand" not in caplog.text
    service.step(LATER)
    assert (api.stored(KNOWN), status(api)) == (None, "failed")
    set_pending(api)
    service.step(60.0)
    assert (status(api), service.unfinished()) == ("failed", 0)


def test_a_take_down_says_what_the_stores_do_not_have(
    service: Service, api: ApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    api.run(OLD_ROW)
    service.earlier("another").take_down(KNOWN.key)
    assert 'repository="r" path="a/ep/k.mp4"' in caplog.text


def test_a_host_that_is_not_allowed_fails_the_row(
    service: Service, api: ApiServer
) -> None:
    api.enqueue(NULL, "https://bad.example/1.mp4")
    api.enqueue(KNOWN, URL)
    service.step()
    row = queue(api, NULL)
    assert (row["status"], row["retry_count"]) == ("failed", 1)
    assert row["error_message"] == "The host is not in ARCHIVE_HOSTS."
    assert service.unfinished() == 1
    service.step(60.0)
    assert queue(api, NULL) == row


def test_a_newer_url_that_is_not_allowed_is_not_taken(
    service: Service, api: ApiServer
) -> None:
    api.enqueue(KNOWN, URL)
    service.step()
    service.start()
    service.step()
    api.enqueue(KNOWN, "https://bad.example/1.mp4")
    service.step(60.0)
    assert service.found(KNOWN).url == URL
    assert queue(api)["video_url"] == URL


@IDENTITIES
def test_what_was_taken_down_loses_its_row_and_stays_down(
    service: Service, api: ApiServer, identity: Identity
) -> None:
    api.enqueue(identity, URL)
    service.step()
    service.succeed()
    service.step()
    service.media.block(identity.key)
    service.step()
    assert (status(api, identity), api.stored(identity)) == ("failed", None)
    assert "taken down" in queue(api, identity)["error_message"]
    set_pending(api)
    service.step()
    service.step(60.0)
    assert (status(api, identity), service.unfinished()) == ("failed", 0)
    service.media.allow(identity.key)
    set_pending(api)
    service.step()
    assert (status(api, identity), service.unfinished()) == ("pending", 1)


def test_a_third_provider_fails_with_the_name_of_the_constraint(
    service: Service, api: ApiServer
) -> None:
    third = Identity(1, 1, "third")
    service.trigger(third)
    service.trigger(KNOWN)
    service.step(LATER)
    media = service.found(third)
    assert (service.state(third), media.next_try_at) == (MediaState.FAILED, None)
    assert "video_queue_provider_check" in (media.error or "")
    assert media.error_code == "row_refused"
    # Nothing else is held up, and it is not tried for ever.
    assert status(api) == "pending"
    service.step()
    writes = service.tables.writes
    service.step(60.0)
    assert service.tables.writes == writes
    assert service.loop.status()["old_tables"]["trouble"] is None


def test_a_full_queue_leaves_rows_as_they_are(service: Service, api: ApiServer) -> None:
    api.enqueue(KNOWN, URL)
    service.full = True
    with pytest.raises(QueueFull):
        service.step()
    assert status(api) == "pending"
    service.full = False
    service.step()
    assert service.unfinished() == 1


def test_tables_that_were_away_are_caught_up(service: Service, api: ApiServer) -> None:
    other, third = Identity(1, 1, "first"), Identity(1, 2, "first")
    api.enqueue(KNOWN, URL)
    service.step()
    service.tables.is_away = True
    # Nothing else stops meanwhile.
    service.clock.advance(1.0)
    service.trigger(other)
    api.enqueue(third, URL)
    service.succeed()
    service.fail()
    with pytest.raises(TablesUnavailable):
        service.step(3600.0)
    service.tables.is_away = False
    assert (status(api), api.stored(KNOWN)) == ("pending", None)
    service.step()
    assert (status(api), api.stored(KNOWN) is not None) == ("ready", True)
    assert status(api, other) == "failed"
    assert (status(api, third), service.unfinished()) == ("pending", 1)


def test_nothing_is_written_when_nothing_changed(
    service: Service, api: ApiServer
) -> None:
    for identity in (KNOWN, NULL):
        api.enqueue(identity, URL)
    service.step()
    service.succeed()
    service.start()
    service.step()
    service.step(60.0)
    writes = service.tables.writes
    for _ in range(3):
        service.step(60.0)
    assert service.tables.writes == writes


@pytest.mark.parametrize("crash", ["select", "insert", "update", "delete"])
def test_a_crash_before_any_write_is_made_up_for(
    service: Service, api: ApiServer, crash: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call fails once at its turn, and the steps behind it lead to the same."""

    class Crash(BaseException):
        pass

    def crash_at(turn: int) -> None:
        calls = iter(range(1000))

        def crashing(*given: Any) -> Any:
            if next(calls) == turn:
                raise Crash
            return original(*given)

        monkeypatch.setattr(service.tables.tables, crash, crashing)

    original = getattr(service.tables.tables, crash)
    for episode in range(1, 6):
        identity = Identity(9, episode, "first")
        api.enqueue(identity, URL)
        api.enqueue(identity, URL)
        for part in (lambda: None, service.succeed):
            part()
            crash_at(episode - 1)
            with suppress(Crash):
                service.step()
            monkeypatch.setattr(service.tables.tables, crash, original)
            service.loop = service.new_loop()
            service.step(LATER)
        assert (status(api, identity), service.unfinished()) == ("ready", 0)
        assert api.stored(identity) is not None
    assert len(service.fetched) == 5


def test_two_dispatchers_write_one_row_each(service: Service, api: ApiServer) -> None:
    identities = [Identity(7, episode, "first") for episode in range(1, 9)]
    for identity in identities:
        service.trigger(identity)
    for _ in identities:
        service.succeed()
    service.clock.advance(LATER)
    loops = [service.new_loop(), service.new_loop()]
    start = threading.Barrier(2)
    errors: list[Exception] = []

    def work(loop: OldTablesLoop) -> None:
        start.wait()
        try:
            loop.step()
        except Exception as err:
            errors.append(err)

    threads = [threading.Thread(target=work, args=(loop,)) for loop in loops]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for identity in identities:
        assert status(api, identity) == "ready"
        assert api.stored(identity) is not None


def test_many_pending_rows_are_taken_in_turns(
    service: Service, api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve_app.archive.old_tables.inward._PAGE", 3)
    monkeypatch.setattr("serve_app.archive.old_tables.inward._PAGES", 2)
    for episode in range(1, 15):
        api.enqueue(Identity(7, episode, "first"), URL)
    for expected in (6, 12, 14):
        service.step()
        assert service.unfinished() == expected


def test_the_state_is_the_one_that_the_archive_tells(service: Service) -> None:
    """The state is computed twice: here for one media, there in SQL for all."""
    changes = Changes(service.database, service.clock)

    def check(expected: MediaState) -> None:
        (shown,) = changes.known([KNOWN.key])
        assert shown.state == service.state(KNOWN) == expected

    service.trigger(KNOWN)
    check(MediaState.PENDING)
    job = service.start()
    check(MediaState.DOWNLOADING)
    service.jobs.report(job.claim, Stage.UPLOAD, 0.9)
    check(MediaState.UPLOADING)
    service.fail(job)
    check(MediaState.FAILED)
    service.trigger(KNOWN)
    service.jobs.cancel(service.found(KNOWN).job_id or "")
    check(MediaState.FAILED)
    service.trigger(KNOWN)
    job = service.succeed()
    check(MediaState.READY)
    service.jobs.remove(job.id)
    check(MediaState.READY)


def test_media_of_new_clients_is_not_written(service: Service, api: ApiServer) -> None:
    service.add(Fetch("any key", URL))
    service.step(LATER)
    assert api.run("SELECT * FROM video_queue") == []


@pytest.mark.parametrize("resolution", ["720p", "unknown"])
def test_a_row_whose_key_is_known_by_another_name_is_fetched_once(
    service: Service, api: ApiServer, resolution: str
) -> None:
    identity = Identity(1234, 5, "first", resolution)
    other = None if resolution == "720p" else NULL_TWIN
    service.add(Fetch(identity.key, URL, other))
    service.fail()
    api.enqueue(identity, URL)
    service.step()
    service.fail()
    for _ in range(3):
        service.step(LATER)
        assert (status(api, identity), service.unfinished()) == ("failed", 0)


def test_recent_changes_and_running_jobs_are_found_without_a_scan(
    service: Service, api: ApiServer
) -> None:
    api.enqueue(KNOWN, URL)
    service.step()
    changes = Changes(service.database, service.clock)
    service.clock.advance(3600.0)
    assert changes.changed("", 10, within_seconds=60.0) == []
    job = service.start()
    assert len(changes.changed("", 10, within_seconds=60.0)) == 1
    service.succeed(job)
    assert len(changes.changed("", 10, within_seconds=60.0)) == 1
    service.clock.advance(3600.0)
    assert changes.changed("", 10, within_seconds=60.0) == []
    assert len(changes.changed("", 10)) == 1


@pytest.mark.anyio
async def test_trouble_is_logged_once_and_shown_and_ends(
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(mirror, "_POLL_SECONDS", 0.02)
    caplog.set_level("INFO", "serve_app.archive.old_tables.mirror")

    async def trouble(expected: str | None) -> None:
        for _ in range(500):
            if service.loop.status()["old_tables"]["trouble"] == expected:
                return
            await asyncio.sleep(0.02)
        raise AssertionError(service.loop.status())

    service.tables.is_away = True
    running = asyncio.ensure_future(service.loop.run_forever())
    await trouble("The tables are away.")
    await asyncio.sleep(0.2)
    service.tables.is_away = False
    await trouble(None)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert [line for line in caplog.messages if line.startswith("old tables")] == [
        'old tables not in step error="The tables are away."',
        "old tables in step again",
    ]


def test_the_reconciliation_comes_each_minute(service: Service) -> None:
    service.step()
    first = service.loop.status()["old_tables"]["reconciled_at"]
    service.step(59.0)
    assert service.loop.status()["old_tables"]["reconciled_at"] == first
    service.step(1.0)
    later = service.clock.now.isoformat()
    assert service.loop.status()["old_tables"]["reconciled_at"] == later


def test_a_row_is_removed_with_media_that_is_no_longer_kept(
    service: Service, api: ApiServer
) -> None:
    """As a retention would end it: nothing is stored any more."""
    api.enqueue(KNOWN, URL)
    service.step()
    service.succeed()
    service.step()
    service.media.block(KNOWN.key)
    service.media.allow(KNOWN.key)
    service.step()
    assert (status(api), api.stored(KNOWN)) == ("failed", None)
    assert api.rows("video_store", KNOWN) == []
