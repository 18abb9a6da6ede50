"""Lines through beats: a constant grid where there is one, else segments."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.floating]

# A beat lies on a grid if it is no farther from it.
_NEAR_SECONDS = 0.035
# A grid is one if so many of the beats, by strength, lie on it over the whole song.
_LEAST_SHARE = 0.85
_FEWEST_BEATS = 4
_CANDIDATES = 129
# Within this of the median interval lies that of the grid.
_SPREAD = 0.04
# The beats of a segment lie this near to its line.
_STRAIGHT_SECONDS = 0.030
_SHORTEST_SEGMENT = 8
# Beats of a machine are nearer to a line (deviation), those of players farther away.
_EVEN_SECONDS = 0.004
# Tempi are one, played unevenly, within 4 %.
_SAME_TEMPO = 2.0 ** (1 / 16)


@dataclass(frozen=True)
class Line:
    """Beats at `start` + `interval` k seconds; `share` of them lie on it.

    `drift` is in seconds: how far the last minute's beats are from it, or the first's.
    """

    start: float
    interval: float
    share: float
    drift: float


@dataclass(frozen=True)
class Segment:
    """From `start` to `end`, in seconds, the tempo is `bpm`."""

    start: float
    end: float
    bpm: float


def line(times: Floats, strengths: Floats) -> Line | None:
    """Return the line that beats at `times` (k) lie on; None if they lie on none.

    Where the strongest beats are, the interval at which they agree in phase best is
    found in eight beats, then in twice as many, until it holds for all. A regression
    on those near the line ends it. So breaks and single lost beats do no harm.
    """
    if len(times) < _FEWEST_BEATS:
        return None
    weights = strengths + 1e-6
    interval = _interval(times, weights)
    if interval is None:
        return None
    start = _phase(times, weights, interval)
    for near in (2 * _NEAR_SECONDS, _NEAR_SECONDS, _NEAR_SECONDS):
        counts = np.rint((times - start) / interval)
        is_near = np.abs(times - start - counts * interval) < near
        if is_near.sum() < _FEWEST_BEATS or np.ptp(counts[is_near]) < 1:
            return None
        interval, start = regression(counts[is_near], times[is_near], weights[is_near])
        # A twist between beats that are left and those that are lost would show here.
        if interval <= 0:
            return None
    counts = np.rint((times - start) / interval)
    errors = times - start - counts * interval
    is_near = np.abs(errors) < _NEAR_SECONDS
    share = float(weights[is_near].sum() / weights.sum())
    # One line for all, or one for each of two halves: a change of tempo is no grid.
    ends = [
        float(np.average(is_near[part], weights=weights[part]))
        for part in np.array_split(np.arange(len(times)), min(8, len(times) // 4))
        if len(part)
    ]
    if share < _LEAST_SHARE or min(ends) < 0.5:
        return None
    first = start + interval * counts[is_near].min()
    drift = max(
        (
            abs(float(np.average(errors[part], weights=weights[part])))
            for part in np.array_split(
                np.flatnonzero(is_near), max(len(times) // 64, 1)
            )
        ),
        default=0.0,
    )
    return Line(start=float(first), interval=interval, share=share, drift=drift)


def _interval(times: Floats, weights: Floats) -> float | None:
    """Return the interval at which the beats agree in phase best."""
    middle = int(np.searchsorted(np.cumsum(weights), 0.5 * weights.sum()))
    size = 8
    interval = float(np.median(np.diff(times)))
    spread = _SPREAD
    while True:
        first = max(min(middle - size // 2, len(times) - size), 0)
        part = slice(first, first + size)
        candidates = interval * (1 + np.linspace(-spread, spread, _CANDIDATES))
        agreement = _agreement(times[part] - times[first], weights[part], candidates)
        interval = float(candidates[int(agreement.argmax())])
        if size >= len(times):
            return interval
        size *= 2
        # Half a turn over so many beats is what may still be wrong.
        spread = min(_SPREAD, 1.0 / size)


def _agreement(times: Floats, weights: Floats, intervals: Floats) -> Floats:
    """Return how well the beats agree in phase at each interval: their mean resultant.

    In parts, so that a mix of hours does not need a table of hours.
    """
    sums = np.zeros(len(intervals), np.complex128)
    for first in range(0, len(times), 1_024):
        part = slice(first, first + 1_024)
        turns = times[part, None] / intervals
        sums += weights[part] @ np.exp(2j * np.pi * turns)
    return np.abs(sums)


def _phase(times: Floats, weights: Floats, interval: float) -> float:
    """Return the time of a beat before one interval has gone."""
    turn = np.angle(weights @ np.exp(2j * np.pi * times / interval)) / (2 * np.pi)
    return float(turn % 1.0 * interval)


def regression(counts: Floats, times: Floats, weights: Floats) -> tuple[float, float]:
    """Return the slope of the weighted line through the points, and its start."""
    x, y = np.average(counts, weights=weights), np.average(times, weights=weights)
    slope = float(
        (weights * (counts - x) * (times - y)).sum()
        / (weights * np.square(counts - x)).sum()
    )
    return slope, float(y - slope * x)


def segments(times: Floats) -> list[Segment]:
    """Return segments of constant tempo, in order: as few as the beats lie on.

    Each is split where it bends most until its beats are within 30 ms of a line, or
    too few; neighbours that lie on one line are joined again.
    """
    if len(times) < 2:
        return []
    found = []
    for first, last in pairwise(_bends(times, 0, len(times) - 1)):
        part = times[first : last + 1]
        interval, _ = regression(np.arange(len(part)) * 1.0, part, np.ones(len(part)))
        found.append(Segment(float(part[0]), float(part[-1]), 60.0 / interval))
    return found


def _bends(times: Floats, first: int, last: int) -> list[int]:
    """Return the beats where segments meet, with both ends (Ramer, 1972)."""
    bounds, waiting = [first], [last]
    while waiting:
        start, end = bounds[-1], waiting[-1]
        counts = np.arange(start, end + 1)
        slope = (times[end] - times[start]) / (end - start)
        away = np.abs(times[start : end + 1] - times[start] - slope * (counts - start))
        middle = away[_SHORTEST_SEGMENT : len(away) - _SHORTEST_SEGMENT]
        if away.max() < _STRAIGHT_SECONDS * 2 or not len(middle):
            bounds.append(waiting.pop())
        else:
            waiting.append(start + _SHORTEST_SEGMENT + int(middle.argmax()))
    return bounds


def main_bpm(times: Floats, strengths: Floats) -> float:
    """Return the tempo that lasts longest, of beats at `times` (k > 1).

    Of segments within 4 % of one another it is that of the longest, where this is as
    even as a machine's. Players lag and rush: they are told by the mean of lines
    through 16 beats each, which count as much as the weakest of their beats, so that a
    break is told by what is around it.
    """
    bounds = np.array(list(pairwise(_bends(times, 0, len(times) - 1))))
    starts, ends = times[bounds[:, 0]], times[bounds[:, 1]]
    counts, seconds = np.diff(bounds, axis=1)[:, 0], ends - starts
    intervals = seconds / counts
    # By tempo, so that each one's like are one run.
    order = np.argsort(intervals)
    ranked, total = intervals[order], np.append(0, np.cumsum(seconds[order]))
    behind = np.searchsorted(ranked, ranked * _SAME_TEMPO)
    before = np.searchsorted(ranked, ranked / _SAME_TEMPO)
    middle = ranked[int((total[behind] - total[before]).argmax())]
    is_main = (intervals > middle / _SAME_TEMPO) & (intervals < middle * _SAME_TEMPO)
    first, last = bounds[int(np.where(is_main, seconds, 0).argmax())]
    part = times[first : last + 1]
    places = np.arange(len(part)) * 1.0
    interval, start = regression(places, part, np.ones(len(part)))
    if np.std(part - start - interval * places) < _EVEN_SECONDS:
        return 60.0 / interval
    beats = min(16, len(times) - 1)
    spans = times[beats:] - times[:-beats]
    weights = sliding_window_view(strengths, beats + 1).min(axis=1) + 1e-6
    is_usual = np.abs(np.log(spans / beats / middle)) < np.log(_SAME_TEMPO)
    if not is_usual.any():
        return 60.0 / interval
    return float(60.0 * beats / np.average(spans[is_usual], weights=weights[is_usual]))
