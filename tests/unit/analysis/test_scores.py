"""Scores of tempo, beats and keys follow the field's definitions."""

import numpy as np
import pytest

from serve_app.analysis import scores
from serve_app.analysis.scores import Estimate, Truth

NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
KEYS = [f"{name} {mode}" for name in NAMES for mode in ("major", "minor")]


@pytest.mark.parametrize(
    ("told", "error"),
    [
        (120.0, "right"),
        (124.8, "right"),
        (125.0, "other"),
        (60.0, "1/2"),
        (241.0, "2"),
        (80.0, "2/3"),
        (182.0, "3/2"),
        (90.0, "3/4"),
        (161.0, "4/3"),
        (40.0, "1/3"),
        (355.0, "3"),
        (100.0, "other"),
    ],
)
def test_a_wrong_tempo_is_named_by_its_ratio(told: float, error: str) -> None:
    assert scores.tempo_error(told, 120.0) == error
    assert scores.is_acc1(told, 120.0) == (error == "right")
    assert scores.is_acc2(told, 120.0) == (error in ("right", "1/2", "2", "1/3", "3"))


def test_each_true_beat_is_met_once() -> None:
    true = [5.0, 5.5, 6.0, 6.5]
    assert scores.beat_f(true, true) == 1.0
    assert scores.beat_f([beat + 0.069 for beat in true], true) == 1.0
    assert scores.beat_f([beat + 0.071 for beat in true], true) == 0.0
    # Twice as many: all true beats are matched, by half of the estimated ones.
    assert scores.beat_f(np.arange(5.0, 7.0, 0.25), true) == pytest.approx(2 / 3)
    assert scores.beat_f([5.0, 5.01, 5.02], [5.01]) == pytest.approx(0.5)
    assert scores.beat_f([], true) == 0.0
    assert scores.beat_f(true, []) == 0.0


def test_the_first_five_seconds_are_not_judged() -> None:
    assert scores.beat_f([1.3, 2.4, 5.0, 6.0], [5.0, 6.0]) == 1.0


def test_beats_are_scored_as_mir_eval_does() -> None:
    beat = pytest.importorskip("mir_eval.beat")
    rng = np.random.default_rng(3)
    for _ in range(50):
        true = np.sort(rng.uniform(0, 30, 60))
        told = np.sort(np.concatenate([true[::2], rng.uniform(0, 30, 20)]))
        told = told + rng.normal(0, 0.05, len(told))
        expected = beat.f_measure(
            beat.trim_beats(true), beat.trim_beats(np.sort(np.abs(told)))
        )
        assert scores.beat_f(np.abs(told), true) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("told", "weight"),
    [
        ("A minor", 1.0),
        ("E minor", 0.5),
        ("D minor", 0.0),
        ("C major", 0.3),
        ("A major", 0.2),
        ("F major", 0.0),
    ],
)
def test_keys_are_weighted_as_mirex_does(told: str, weight: float) -> None:
    assert scores.mirex(told, "A minor") == weight


def test_keys_are_weighted_as_mir_eval_does() -> None:
    key = pytest.importorskip("mir_eval.key")
    for told in KEYS:
        for true in KEYS:
            assert scores.mirex(told, true) == key.weighted_score(true, told)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Eb minor", (3, True)),
        ("D# min", (3, True)),
        ("f#m", (6, True)),
        ("C", (0, False)),
        ("Cb major", (11, False)),
        ("B maj", (11, False)),
        ("GM", (7, False)),
    ],
)
def test_names_of_keys_are_read(name: str, key: tuple[int, bool]) -> None:
    assert scores.key_of(name) == key


@pytest.mark.parametrize("name", ["", "H minor", "C dorian", "unknown", "A minor / C"])
def test_what_is_no_key_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="A key must be a name"):
        scores.key_of(name)


def test_figures_count_only_what_is_known() -> None:
    songs = [
        (Truth(bpm=120.0, key="C major"), Estimate(120.0, "C major", 0.9)),
        (Truth(bpm=120.0, key="C major"), Estimate(80.0, "A minor", 0.95)),
        (Truth(bpm=None, key="C major"), Estimate(99.0, "G major", 0.2)),
        (
            Truth(beats=(6.0, 7.0), downbeats=(6.0,)),
            Estimate(60.0, "C major", 0.9, (6.0, 7.0), (7.0,)),
        ),
    ]
    found = scores.figures(songs)
    assert (found.songs, found.tempo_songs) == (4, 2)
    assert (found.acc1, found.acc2) == (0.5, 0.5)
    assert found.errors["2/3"] == 0.5
    assert (found.beat_f, found.downbeat_f) == (1.0, 0.0)
    assert found.key_exact == pytest.approx(1 / 3)
    assert found.mirex == pytest.approx((1.0 + 0.3 + 0.5) / 3)
    assert (found.sure, found.sure_right) == (pytest.approx(2 / 3), 0.5)


def test_without_truth_there_are_no_figures() -> None:
    found = scores.figures([(Truth(), Estimate(120.0, "C major", 0.9))])
    assert found.acc1 is None
    assert found.key_exact is None
    assert found.beat_f is None


@pytest.mark.parametrize(
    ("bpm", "band"),
    [(79.9, "<80"), (80, "80-110"), (139, "110-140"), (154, "140-155"), (155, ">=155")],
)
def test_tempi_have_bands(bpm: float, band: str) -> None:
    assert scores.tempo_band(bpm) == band
