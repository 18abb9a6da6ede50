"""A constant tempo is exact to 0.01 and stays in time; changes are detected."""

import numpy as np
import pytest
from numpy.typing import NDArray

from serve_app.analysis import grid


def noisy(bpm: float, seconds: float, start: float = 0.4) -> grid.Floats:
    times = np.arange(start, seconds, 60 / bpm)
    return times + np.random.default_rng(5).normal(0, 0.006, len(times))


@pytest.mark.parametrize("bpm", [63.3, 97.31, 127.95, 174.0])
def test_after_ten_minutes_the_grid_is_within_5_ms(bpm: float) -> None:
    times = noisy(bpm, 600)
    line = grid.line(times, np.ones(len(times)))
    assert line is not None
    assert 60 / line.interval == pytest.approx(bpm, abs=0.003)
    count = round(590 * bpm / 60)
    assert line.start + count * line.interval == pytest.approx(
        0.4 + count * 60 / bpm, abs=0.005
    )


def test_a_break_and_wild_beats_do_not_bend_the_grid() -> None:
    times = noisy(127.95, 240)
    rng = np.random.default_rng(3)
    is_break = (times > 100) & (times < 121)
    strengths = np.where(is_break, 0.05, 0.9)
    wild = np.where(is_break, times + rng.normal(0, 0.08, len(times)), times)
    line = grid.line(wild, strengths)
    assert line is not None
    assert 60 / line.interval == pytest.approx(127.95, abs=0.01)


def test_two_tempi_are_no_grid_but_two_segments() -> None:
    times = np.concatenate([np.arange(0.5, 60, 0.5), np.arange(60, 120, 0.4)])
    assert grid.line(times, np.ones(len(times))) is None
    first, second = grid.segments(times)
    assert first.bpm == pytest.approx(120, abs=0.1)
    assert second.bpm == pytest.approx(150, abs=0.1)
    assert first.end == second.start == pytest.approx(60, abs=0.6)


def test_a_tempo_that_grows_is_no_grid() -> None:
    times = np.cumsum(60 / np.linspace(118, 122, 400))
    assert grid.line(times, np.ones(len(times))) is None
    assert grid.main_bpm(times, np.ones(400)) == pytest.approx(120, abs=0.1)


def beats(*tempi: tuple[float, int]) -> NDArray[np.float64]:
    """Beats with a number of beats at each tempo."""
    intervals = [np.full(count, 60 / bpm) for bpm, count in tempi]
    return np.cumsum(np.concatenate([[0.1], *intervals]))


@pytest.mark.parametrize(
    ("tempi", "bpm"),
    [
        ([(100, 34), (140, 70)], 140),
        ([(140, 70), (100, 60)], 100),
        ([(120, 60), (124, 80)], 124),
        ([(100, 30), (140, 45), (100, 30)], 100),
    ],
)
def test_of_several_tempi_the_one_that_lasts_longest_is_the_main_one(
    tempi: list[tuple[float, int]], bpm: float
) -> None:
    """It is not a mean, although 120 and 124 are close."""
    times = beats(*tempi)
    assert grid.main_bpm(times, np.ones(len(times))) == pytest.approx(bpm, abs=0.01)


def test_the_tempo_of_who_rushes_and_lags_is_the_mean() -> None:
    lags = 120 + 2 * np.sin(np.arange(360) / 360 * 2 * np.pi * 6)
    assert grid.main_bpm(np.cumsum(60 / lags), np.ones(360)) == pytest.approx(
        119.98, abs=0.05
    )


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_few_beats_are_no_grid(count: int) -> None:
    times = np.arange(count) / 2.0
    assert grid.line(times, np.ones(count)) is None
    assert len(grid.segments(times)) == (count > 1)
