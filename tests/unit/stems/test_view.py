from dataclasses import asdict
from datetime import UTC, datetime, timedelta, timezone

import pytest

from serve_app.jobs.job import Job, State
from serve_app.separation.licences import BY_MODEL
from serve_app.stems import view
from serve_app.stems.request import (
    Options,
    Result,
    SeparationJob,
    SeparationRequest,
    Source,
)
from tests.jobs import asking

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SOURCE = Source("a.mp3", "originals/1", 10, "0" * 64, 48_000, 2, 96_000, 0.0, 0.1)
REQUEST = SeparationRequest(SOURCE, Options("demo", ("bass",), "wav"))
JOB: SeparationJob = Job("1" * 32, REQUEST, State.QUEUED, NOW, NOW)


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
    assert view.job_view(job, NOW).status == word
    assert view.job_summary(job).status == word


def test_a_job_whose_client_has_cancelled_it_is_cancelled() -> None:
    job = JOB.evolve(state=State.RUNNING, cancel_requested=True)
    assert view.status(job) == "cancelled"


@pytest.mark.parametrize(
    ("progress", "percent"), [(0, 0), (0.123456, 12.3), (1, 100), (1.2, 100), (-1, 0)]
)
def test_progress_is_in_per_cent(progress: float, percent: float) -> None:
    job = JOB.evolve(state=State.RUNNING, progress=progress)
    assert view.job_view(job, NOW).progress == percent


def test_times_are_in_utc() -> None:
    seoul = timezone(timedelta(hours=9))
    job = JOB.evolve(created_at=NOW.astimezone(seoul))
    told = view.job_view(job, NOW).model_dump_json()
    assert '"created_at":"2026-11-20T12:00:00Z"' in told


def test_the_model_of_a_result_is_the_one_that_was_used() -> None:
    job = JOB.evolve(state=State.SUCCEEDED, result=Result("other", (), 1.0))
    shown = view.job_view(job, NOW)
    assert shown.model == "other"
    assert shown.options.model == "demo"
    assert shown.stems == {}


@pytest.mark.parametrize(
    ("options", "result", "known"),
    [
        ("demo", None, "demo"),
        ("auto", "hdemucs_high_musdb_plus", "hdemucs_high_musdb_plus"),
        ("demo", "htdemucs", "htdemucs"),
        ("auto", None, None),
    ],
)
def test_a_job_has_the_licences_of_the_model_that_makes_it(
    options: str, result: str | None, known: str | None
) -> None:
    job = asking(JOB, options=Options(options, ("bass",), "wav"))
    if result is not None:
        job = job.evolve(state=State.SUCCEEDED, result=Result(result, (), 1.0))
    told = view.job_view(job, NOW).model_dump()["licences"]
    assert told == (None if known is None else asdict(BY_MODEL[known]))


def test_a_failed_job_has_a_reason_even_when_nobody_gave_one() -> None:
    assert view.job_view(JOB.evolve(state=State.FAILED), NOW).error


def test_the_length_of_the_song_is_in_seconds() -> None:
    assert view.job_view(JOB, NOW).duration == 2.0


def test_what_is_left_follows_from_the_speed_so_far() -> None:
    running = JOB.evolve(
        state=State.RUNNING,
        progress=0.25,
        started_at=NOW,
        updated_at=NOW + timedelta(seconds=10),
    )
    assert view.job_view(running, running.updated_at).eta_seconds == 30.0
    later = NOW + timedelta(seconds=15)
    assert view.job_view(running, later).eta_seconds == 25.0
    assert view.job_view(running, NOW + timedelta(hours=1)).eta_seconds == 0.0


@pytest.mark.parametrize(
    "changes",
    [
        {"state": State.QUEUED, "progress": 0.5},
        {"state": State.RUNNING, "progress": 0.01, "started_at": NOW},
        {"state": State.RUNNING, "progress": 0.5},
        {"state": State.FAILED, "progress": 0.5, "started_at": NOW},
    ],
)
def test_no_guess_is_made_where_nothing_is_known(changes: dict[str, object]) -> None:
    assert view.job_view(JOB.evolve(**changes), NOW).eta_seconds is None
