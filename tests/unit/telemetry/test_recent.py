"""Speed and failures are read from jobs that ended a short time ago."""

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from serve_app.database import Database
from serve_app.stems.request import Result
from serve_app.telemetry import recent
from serve_app.telemetry.recent import Failure, RecentFacts, RecentStore
from tests.jobs import NOON, SongStore, new_job, new_store
from tests.unit.server import Clock

MINUTES = 60.0


@pytest.fixture
def database(tmp_path: Path, empty_database: Path) -> Iterator[Database]:
    path = shutil.copy(empty_database, tmp_path / "jobs.sqlite3")
    with Database(f"sqlite:///{path}") as database:
        yield database


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.now = NOON
    return clock


@pytest.fixture
def songs(database: Database, clock: Clock) -> SongStore:
    return new_store(database, clock, max_queued=100)


def facts(database: Database, clock: Clock) -> RecentFacts:
    return RecentStore(database, clock).facts()


def add(songs: SongStore, job_id: str, seconds: float = 180.0) -> None:
    songs.add(new_job(job_id, audio_seconds=seconds))


def succeed(songs: SongStore, cache: str | None = None) -> None:
    (job,) = songs.claim("me", lease_seconds=30.0, include_alone=True)
    songs.succeed(job.claim, Result("demo", (), 1.0, cache=cache))


def test_without_jobs_there_is_nothing(database: Database, clock: Clock) -> None:
    assert facts(database, clock) == RecentFacts()


def test_speed_is_of_jobs_that_were_computed_in_the_last_minutes(
    database: Database, songs: SongStore, clock: Clock
) -> None:
    add(songs, "old", 1_000.0)
    succeed(songs)
    clock.move(2 * MINUTES)
    for job_id, seconds in (("a", 180.0), ("b", 60.0)):
        add(songs, job_id, seconds)
        succeed(songs)
    add(songs, "copied", 5_000.0)
    succeed(songs, cache="hit")
    add(songs, "waiting", 7_000.0)
    assert facts(database, clock).audio_seconds == {"separation": 1_240.0}
    clock.move(4 * MINUTES)
    assert facts(database, clock).audio_seconds == {"separation": 240.0}
    clock.move(2 * MINUTES)
    assert facts(database, clock).audio_seconds == {}


def test_the_last_failures_come_with_their_reasons(
    database: Database,
    songs: SongStore,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recent, "MOST_FAILURES", 2)
    for number in range(3):
        add(songs, f"job{number}")
        (job,) = songs.claim("me", lease_seconds=30.0, include_alone=True)
        clock.move(1.0)
        songs.fail(job.claim, "unreadable_audio", f"It is damaged {number}.")
    assert facts(database, clock).failures == tuple(
        Failure(
            NOON + timedelta(seconds=number + 1),
            *("separation", "unreadable_audio", f"It is damaged {number}."),
        )
        for number in (2, 1)
    )
