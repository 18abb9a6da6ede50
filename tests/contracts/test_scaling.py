"""The contract of what autoscaling reads from the database."""

from dataclasses import replace
from datetime import datetime

import pytest

from serve_app.database import Database
from serve_app.scaling.demand import replicas
from serve_app.scaling.store import WorkStore
from serve_app.stems.request import SeparationJob
from tests.jobs import NOON, RESULT, ManualClock, SongStore, new_job

SPEED, GOAL_SECONDS = 5.0, 60.0


@pytest.fixture
def work(database: Database) -> WorkStore:
    return WorkStore(database, "separation")


def begin(store: SongStore) -> SeparationJob:
    [found] = store.claim("me", lease_seconds=30.0, include_alone=True)
    return found


def separate(
    store: SongStore, job_id: str, seconds: float, device: float, now: datetime = NOON
) -> None:
    sent = {"created_at": now, "cost_seconds": seconds, "audio_seconds": seconds}
    store.add(new_job(job_id, **sent))
    store.succeed(begin(store).claim, replace(RESULT, device_seconds=device))


def test_without_jobs_nothing_is_needed_and_nothing_measured(work: WorkStore) -> None:
    assert work.demand(SPEED, GOAL_SECONDS) == 0
    assert work.usual_speed(NOON) is None


def test_queued_and_running_jobs_need_what_is_left_of_them(
    store: SongStore, work: WorkStore
) -> None:
    store.add(new_job("long", cost_seconds=7200.0))
    store.report(begin(store).claim, "separate", 0.25)
    store.add(new_job("running", cost_seconds=200.0))
    store.report(begin(store).claim, "separate", 0.4)
    store.add(new_job("queued", cost_seconds=30.0))
    expected = replicas([7200 * 0.75, 200 * 0.6, 30], SPEED, GOAL_SECONDS)
    assert work.demand(SPEED, GOAL_SECONDS) == pytest.approx(expected)


def test_a_job_that_is_nearly_done_still_needs_its_replica(
    store: SongStore, work: WorkStore
) -> None:
    store.add(new_job("a", cost_seconds=200.0))
    store.report(begin(store).claim, "upload", 1.0)
    assert 0 < work.demand(SPEED, GOAL_SECONDS) < 0.01


def test_jobs_that_ended_or_wait_for_another_are_no_work(
    store: SongStore, work: WorkStore
) -> None:
    separate(store, "done", 300.0, 10.0)
    store.add(new_job("first", cost_seconds=60.0, same_work="x"))
    before = work.demand(SPEED, GOAL_SECONDS)
    store.add(new_job("second", cost_seconds=60.0, same_work="x"))
    assert before > 0
    assert work.demand(SPEED, GOAL_SECONDS) == pytest.approx(before)


def test_other_kinds_are_other_work(store: SongStore, database: Database) -> None:
    store.add(new_job())
    other = WorkStore(database, "echo")
    assert other.demand(SPEED, GOAL_SECONDS) == 0


def test_the_usual_speed_is_that_of_today_and_yesterday(
    store: SongStore, work: WorkStore, clock: ManualClock
) -> None:
    separate(store, "old", 100.0, 100.0)
    clock.advance(2 * 86_400)
    assert work.usual_speed(clock()) is None
    separate(store, "yesterday", 200.0, 30.0, clock())
    clock.advance(86_400)
    separate(store, "today", 200.0, 10.0, clock())
    assert work.usual_speed(clock()) == pytest.approx(10.0)
