from datetime import UTC, datetime, timedelta, timezone

import pytest

from serve_app.api import views
from serve_app.jobs.job import Job, Options, Result, Source, State

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SOURCE = Source("a.mp3", "originals/1", 10, "0" * 64, 48_000, 2, 96_000, 0.0, 0.1)
JOB = Job("1" * 32, SOURCE, Options("demo", ("bass",), "wav"), State.QUEUED, NOW, NOW)


@pytest.mark.parametrize(
    ("state", "word"),
    [
        (State.QUEUED, "pending"),
        (State.RUNNING, "processing"),
        (State.SUCCEEDED, "completed"),
        (State.FAILED, "failed"),
        (State.CANCELLED, "cancelled"),
    ],
)
def test_states_have_the_words_of_clients(state: State, word: str) -> None:
    job = JOB.evolve(state=state)
    assert views.job_view(job).status == word
    assert views.job_summary(job).status == word


def test_a_job_whose_client_has_cancelled_it_is_cancelled() -> None:
    job = JOB.evolve(state=State.RUNNING, cancel_requested=True)
    assert views.status(job) == "cancelled"


@pytest.mark.parametrize(
    ("progress", "percent"), [(0, 0), (0.123456, 12.3), (1, 100), (1.2, 100), (-1, 0)]
)
def test_progress_is_in_per_cent(progress: float, percent: float) -> None:
    job = JOB.evolve(state=State.RUNNING, progress=progress)
    assert views.job_view(job).progress == percent


def test_times_are_in_utc() -> None:
    seoul = timezone(timedelta(hours=9))
    job = JOB.evolve(created_at=NOW.astimezone(seoul))
    assert (
        '"created_at":"2026-11-20T12:00:00Z"' in views.job_view(job).model_dump_json()
    )


def test_the_model_of_a_result_is_the_one_that_was_used() -> None:
    job = JOB.evolve(state=State.SUCCEEDED, result=Result("other", (), 1.0))
    view = views.job_view(job)
    assert view.model == "other"
    assert view.options.model == "demo"
    assert view.stems == {}


def test_a_failed_job_has_a_reason_even_when_nobody_gave_one() -> None:
    assert views.job_view(JOB.evolve(state=State.FAILED)).error


def test_the_length_of_the_song_is_in_seconds() -> None:
    assert views.job_view(JOB).duration == 2.0
