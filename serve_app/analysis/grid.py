"""Lines through beats: a constant grid where the tempo is constant, else segments."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.floating]

# A beat lies on a grid if its distance from it is less than this.
_NEAR_SECONDS = 0.035
# A grid needs this share of the beats, weighted by strength, over the whole song.
_LEAST_SHARE = 0.85
_FEWEST_BEATS = 4
_CANDIDATES = 129
# The grid's interval lies within this share of the median interval.
_SPREAD = 0.04
# The beats of a segment lie within this distance of its line.
_STRAIGHT_SECONDS = 0.030
_SHORTEST_SEGMENT = 8
# Machine-played beats deviate less than this from a line (standard deviation).
_EVEN_SECONDS = 0.004
# Tempi within 4 % count as one tempo, played unevenly.
_SAME_TEMPO = 2.0 ** (1 / 16)


@dataclass(frozen=True)
class Line:
    """Beats at `start` + `interval` * k seconds; `share` of the beats lie on it.

    `drift` is the largest mean distance, in seconds, of a run of about 64 beats.
    """

    start: float
    interval: float
    share: float
    drift: float


@dataclass(frozen=True)
class Segment:
    """A constant tempo, `bpm`, from `start` to `end` in seconds."""

    start: float
    end: float
    bpm: float


def line(times: Floats, strengths: Floats) -> Line | None:
    """Return the line that the beats at `times` (k) lie on, or None if there is none.

    The interval with the best phase agreement is searched among the eight beats in the
    middle of the total strength, then among twice as many, until it covers all beats. A
    weighted regression over the beats near the line refines it, so that breaks and
    missing beats do no harm.
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
        # Negative if the counts of the remaining beats are inconsistent.
        if interval <= 0:
            return None
    counts = np.rint((times - start) / interval)
    errors = times - start - counts * interval
    is_near = np.abs(errors) < _NEAR_SECONDS
    share = float(weights[is_near].sum() / weights.sum())
    # Each part of the song must agree: two tempi are not one grid.
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
    """Return the interval with the best phase agreement between the beats."""
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
        # The phase error left over this many beats is at most half a turn.
        spread = min(_SPREAD, 1.0 / size)


def _agreement(times: Floats, weights: Floats, intervals: Floats) -> Floats:
    """Return the phase agreement of the beats at each interval: their mean resultant.

    Computed in parts, to bound the memory for mixes of several hours.
    """
    sums = np.zeros(len(intervals), np.complex128)
    for first in range(0, len(times), 1_024):
        part = slice(first, first + 1_024)
        turns = times[part, None] / intervals
        sums += weights[part] @ np.exp(2j * np.pi * turns)
    return np.abs(sums)


def _phase(times: Floats, weights: Floats, interval: float) -> float:
    """Return the time of the first grid beat: at least 0, less than one interval."""
    turn = np.angle(weights @ np.exp(2j * np.pi * times / interval)) / (2 * np.pi)
    return float(turn % 1.0 * interval)


def regression(counts: Floats, times: Floats, weights: Floats) -> tuple[float, float]:
    """Return the slope and the intercept of the weighted line through the points."""
    x, y = np.average(counts, weights=weights), np.average(times, weights=weights)
    slope = float(
        (weights * (counts - x) * (times - y)).sum()
        / (weights * np.square(counts - x)).sum()
    )
    return slope, float(y - slope * x)


def segments(times: Floats) -> list[Segment]:
    """Return segments of constant tempo, in order.

    Each is split at its largest deviation until its beats are within 60 ms of the
    line between its ends, or are too few to split.
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
    """Return the beats where segments meet, including both ends (Ramer, 1972)."""
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
    """Return the tempo that lasts longest, from beats at `times` (k > 1).

    Among segments within 4 % of one another, it is the tempo of the longest one if that
    is as even as a machine's. For players, who drift, it is the mean tempo of spans of
    16 beats, each weighted by its weakest beat, so that breaks count little.
    """
    bounds = np.array(list(pairwise(_bends(times, 0, len(times) - 1))))
    starts, ends = times[bounds[:, 0]], times[bounds[:, 1]]
    counts, seconds = np.diff(bounds, axis=1)[:, 0], ends - starts
    intervals = seconds / counts
    # Sorted by tempo, so that segments of similar tempo are adjacent.
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
