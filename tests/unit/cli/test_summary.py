"""The summary of a run is one readable line."""

from dataclasses import replace
from pathlib import Path

import pytest

from serve_app.cli.summary import Summary, Tally, format_clock, format_duration

SEVEN = Summary(
    songs=7,
    done=6,
    failed=1,
    seconds=192.0,
    song_seconds=1_555.2,
    verb="separated",
)


def test_it_says_what_came_of_all_songs() -> None:
    words = "7 songs: 6 separated, 1 failed, 3 min 12 s, 8.1x real time"
    assert str(SEVEN) == words


def test_nothing_is_said_of_what_is_nothing() -> None:
    well = replace(SEVEN, done=7, failed=0, song_seconds=None)
    assert str(well) == "7 songs: 7 separated, 3 min 12 s"
    ended = replace(SEVEN, done=2, failed=0, song_seconds=None)
    assert str(ended) == "7 songs: 2 separated, 5 not done, 3 min 12 s"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (3_599.0, "59 min 59 s"),
        (3_600.0, "1 h 0 min"),
        (7_530.0, "2 h 5 min"),
    ],
)
def test_times_are_said_in_the_units_that_matter(seconds: float, words: str) -> None:
    assert format_duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.4, "0:00"), (59.6, "1:00"), (3_723.0, "1:02:03")]
)
def test_clocks_show_hours_only_where_there_are_any(seconds: float, shown: str) -> None:
    assert format_clock(seconds) == shown


def test_real_time_is_told_only_if_all_lengths_are_known() -> None:
    tally = Tally(3, "analysed")
    tally.done(60.0)
    assert tally.summary().song_seconds == 60.0
    tally.done(None)
    tally.failed(Path("x"), "It is damaged.")
    summary = tally.summary()
    assert (summary.done, summary.failed, summary.song_seconds) == (2, 1, None)
