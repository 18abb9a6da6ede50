"""The request of a separation job."""

from dataclasses import replace

from serve_app.stems.options import Priority
from serve_app.stems.request import content_key
from tests.jobs import new_job

OPTIONS = new_job().request.options
KEY = "cd9997eff735c4a2c3b1ac61d7ff4906eaab63014ca6c57419db845e6e6a8257"


def test_a_song_knows_its_length() -> None:
    assert new_job().request.source.duration_seconds == 180.0


def test_what_is_urgent_comes_first_and_gets_more_turns() -> None:
    high, normal, low = Priority
    assert (high.rank, normal.rank, low.rank) == (0, 1, 2)
    assert high.turns > normal.turns > low.turns > 0


def test_the_same_work_has_the_same_key_whenever_it_is_done() -> None:
    urgent = replace(OPTIONS, priority=Priority.HIGH)
    assert content_key("me", "ab", urgent) == content_key("me", "ab", OPTIONS)


def test_other_work_has_another_key() -> None:
    keys = [
        content_key("me", "ab", OPTIONS),
        content_key("you", "ab", OPTIONS),
        content_key("me", "cd", OPTIONS),
        content_key("me", "ab", replace(OPTIONS, format="mp3")),
        content_key("me", "ab", replace(OPTIONS, stems=("vocals",))),
        content_key("me", "ab", replace(OPTIONS, bpm_range=(80.0, 160.0))),
    ]
    assert len(set(keys)) == len(keys)


def test_a_key_stays_what_it_was() -> None:
    """Jobs that a version before has made are found by it."""
    assert content_key("me", "ab", OPTIONS) == KEY
