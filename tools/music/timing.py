"""Tempo maps from beats to seconds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_RESOLUTION_BEATS = 0.25


@dataclass(frozen=True)
class TempoMap:
    """The times of beats: seconds at knots, linearly interpolated."""

    knot_beats: NDArray[np.float64]
    knot_seconds: NDArray[np.float64]

    def seconds(self, beats: ArrayLike) -> NDArray[np.float64]:
        """Return beats in seconds; outside the knots the nearest tempo continues."""
        at = np.asarray(beats, np.float64)
        inside = np.interp(at, self.knot_beats, self.knot_seconds)
        (b0, b1), (s0, s1) = self.knot_beats[-2:], self.knot_seconds[-2:]
        after = s1 + (at - b1) * (s1 - s0) / (b1 - b0)
        (b0, b1), (s0, s1) = self.knot_beats[:2], self.knot_seconds[:2]
        before = s0 + (at - b0) * (s1 - s0) / (b1 - b0)
        found: NDArray[np.float64] = np.where(
            at > self.knot_beats[-1],
            after,
            np.where(at < self.knot_beats[0], before, inside),
        )
        return found


def tempo_map(
    rng: np.random.Generator,
    kind: str,
    bpm: float,
    beats: int,
    beats_per_bar: int,
    start_seconds: float,
) -> tuple[TempoMap, list[tuple[int, float]]]:
    """Draw a piece's tempo: constant, drift, steps or rubato (only at the beginning).

    Returns the map, and the (beat, bpm) at which each constant tempo begins; none for
    drift.
    """
    knots = np.arange(0, beats + 1 + _RESOLUTION_BEATS, _RESOLUTION_BEATS)
    tempi = np.full(len(knots) - 1, bpm)
    steady = [(0, bpm)]
    if kind == "drift":
        tempi = bpm * _wander(rng, len(tempi), 0.03 + 0.04 * rng.random())
        steady = []
    elif kind == "steps":
        steady = _steps(rng, bpm, beats, beats_per_bar)
        tempi = _filled(steady, len(tempi))
    elif kind == "rubato":
        first = beats_per_bar * int(rng.integers(2, 5))
        free = int(first / _RESOLUTION_BEATS)
        tempi[:free] *= 0.8 * _wander(rng, free, 0.25)
        steady = [(first, bpm)]
    elif kind != "constant":
        raise ValueError(
            f'"kind" must be constant, drift, steps or rubato, got "{kind}".'
        )
    lengths = 60.0 / tempi * _RESOLUTION_BEATS
    seconds = start_seconds + np.concatenate([[0.0], np.cumsum(lengths)])
    return TempoMap(knots, seconds), steady


def _wander(rng: np.random.Generator, count: int, spread: float) -> NDArray[np.float64]:
    """Draw a smooth curve around 1 with deviations of about `spread`."""
    knots = max(count // 24, 3)
    points = np.clip(rng.normal(0, spread, knots), -2 * spread, 2 * spread)
    curve = np.interp(np.linspace(0, knots - 1, count), np.arange(knots), points)
    smooth: NDArray[np.float64] = 1.0 + curve
    return smooth


def _steps(
    rng: np.random.Generator, bpm: float, beats: int, beats_per_bar: int
) -> list[tuple[int, float]]:
    bars = beats // beats_per_bar
    steady, tempo, bar = [(0, bpm)], bpm, 0
    for share in sorted(rng.uniform(0.3, 0.8, int(rng.integers(1, 3)))):
        at = max(int(share * bars) // 2 * 2, bar + 4)
        if at >= bars - 4:
            break
        tempo = bpm * float(rng.choice([0.8, 0.88, 0.94, 1.06, 1.12, 1.2, 1.3]))
        steady.append((at * beats_per_bar, tempo))
        bar = at
    return steady


def _filled(steady: Sequence[tuple[int, float]], count: int) -> NDArray[np.float64]:
    tempi = np.empty(count)
    for beat, tempo in steady:
        tempi[int(beat / _RESOLUTION_BEATS) :] = tempo
    return tempi
