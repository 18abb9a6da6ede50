"""A person and a program can read what is logged of a job."""

import logging

import pytest

from serve_app.jobs import log
from serve_app.jobs.job import Claim, Result
from tests.jobs import new_job


def test_a_song_that_is_done_has_one_line_with_what_cost_how_long(
    caplog: pytest.LogCaptureFixture,
) -> None:
    job = new_job("a")
    seconds = job.source.duration_seconds
    with caplog.at_level(logging.INFO):
        log.separated(job, Result("demo", (), 1.0), seconds / 4, {"fetch": 0.25})
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
    log.failed(new_job("a"), Claim("a", "me", 2), "file_lost", "It is\ngone.")
    (line,) = caplog.messages
    assert line.startswith("attempt failed job=a name=")
    assert line.endswith(r'attempt=2 code=file_lost error="It is\ngone."')
