"""A person and a program can read what is logged of a job."""

import logging
from collections.abc import Callable

import pytest

from deployments.console import SHOWN_LOGGERS
from serve_app.jobs import log
from serve_app.jobs.job import Claim, State
from serve_app.stems.kind import separation
from serve_app.stems.request import Result
from tests.jobs import SongStore, new_job


def test_a_song_that_is_done_has_one_line_with_what_cost_how_long(
    caplog: pytest.LogCaptureFixture,
) -> None:
    job = new_job("a", result=Result("demo", (), 1.0))
    seconds = job.request.source.duration_seconds
    job = job.evolve(audio_seconds=seconds)
    with caplog.at_level(logging.INFO):
        log.succeeded(separation(), job, seconds / 4, {"fetch": 0.25})
    (line,) = caplog.messages
    assert line.startswith("song separated job=a name=")
    for part in ("speed=4.0x", "fetch=0.2s", "model=demo", "cache=miss"):
        assert part in line


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Blue Monday.wav", '"Blue Monday.wav"'),
        ('12" Mix.wav', r'"12\" Mix.wav"'),
        ("two\nlines.wav", r'"two\nlines.wav"'),
        ("夜に駆ける.wav", '"夜に駆ける.wav"'),
    ],
)
def test_any_name_is_one_word_on_one_line(name: str, shown: str) -> None:
    assert log.quoted(name) == shown


def test_a_failed_attempt_says_why(caplog: pytest.LogCaptureFixture) -> None:
    claim = Claim("a", "me", 2)
    log.failed(separation(), new_job("a"), claim, "file_lost", "It is\ngone.")
    (line,) = caplog.messages
    assert line.startswith("attempt failed job=a name=")
    assert line.endswith(r'attempt=2 code=file_lost error="It is\ngone."')


@pytest.mark.parametrize(
    ("end", "line"),
    [
        (
            lambda store, claim: store.fail(claim, "unreadable", "Noise."),
            "job failed job=a name=\"Söng 'one'.mp3\" attempt=1 code=unreadable",
        ),
        (
            lambda store, claim: store.release(claim),
            "job queued again job=a name=\"Söng 'one'.mp3\" attempt=1 code=-",
        ),
        (
            lambda store, claim: (store.cancel("a"), store.release(claim)),
            "job cancelled job=a name=\"Söng 'one'.mp3\" attempt=1 code=-",
        ),
        (
            lambda store, claim: (store.release(claim), store.cancel("a")),
            "job cancelled job=a name=\"Söng 'one'.mp3\" attempt=1 code=-",
        ),
    ],
)
def test_each_end_of_a_job_leaves_a_line_with_its_id(
    store: SongStore,
    caplog: pytest.LogCaptureFixture,
    end: Callable[[SongStore, Claim], object],
    line: str,
) -> None:
    store.add(new_job("a"))
    (job,) = store.claim("me", lease_seconds=30, include_alone=True)
    with caplog.at_level(logging.INFO):
        end(store, job.claim)
    assert caplog.messages[-1] == line


def test_a_song_that_was_known_leaves_a_line_as_well(
    store: SongStore, caplog: pytest.LogCaptureFixture
) -> None:
    known = Result("demo", (), 1.0, cache="hit")
    job = new_job("a").evolve(state=State.SUCCEEDED, result=known)
    with caplog.at_level(logging.INFO):
        store.add(job)
    accepted, line = caplog.messages
    assert accepted.startswith("job accepted job=a ")
    assert line.startswith("song separated job=a name=")
    assert line.endswith("model=demo cache=hit")


def test_a_job_has_a_line_when_it_is_added_with_the_request_that_added_it(
    store: SongStore, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        store.add(new_job("a", request_id="r1"))
        store.add(new_job("b"))
    assert caplog.messages == [
        "job accepted job=a kind=separation request=r1",
        "job accepted job=b kind=separation",
    ]


def test_lines_of_what_goes_well_are_not_for_the_terminal(
    store: SongStore, caplog: pytest.LogCaptureFixture
) -> None:
    """It shows the logger of songs that are done."""
    with caplog.at_level(logging.INFO):
        store.add(new_job("a"))
        log.started(separation(), new_job("a", attempt=2, request_id="r1"))
    assert {record.name for record in caplog.records}.isdisjoint(SHOWN_LOGGERS)
    line = "job started job=a attempt=2 kind=separation request=r1"
    assert caplog.messages[-1] == line
