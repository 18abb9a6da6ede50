"""Detection of noise and of loops in short pieces.

A loop is played repeatedly, so its length is exactly a whole number of beats.
"""

from dataclasses import dataclass

import numpy as np

from serve_app.analysis import beats, grid
from serve_app.analysis.downmix import SAMPLE_RATE, Samples
from serve_app.analysis.features import Spectrogram
from serve_app.analysis.network import Activations, Engine

# Two bars of four beats at 60 BPM. Longer loops contain repetitions.
LONGEST_SECONDS = 8.1
# In longer noise the network detects no pulse.
DOUBTFUL_SECONDS = 16.0
_PLAYED_SECONDS, _FEWEST_TIMES = 12.0, 3
# One, two and four bars of three or four beats, at half, full and double speed.
_COUNTS = (2, 3, 4, 6, 8, 12, 16, 24, 32)
# Most loops have four beats in a bar: a multiple of three needs this much more log
# likelihood per second. A waltz exceeds its alternatives by 4.
_TRIPLE_COST = 2.5
# A repeated loop keeps a clear beat. A piece cut between beats loses more log
# likelihood per second than this.
_SEAM_COST = 2.0
_NEAR = 0.01
# The length of an excerpt is not a whole number of beats, so its own beats have another
# interval than a loop would. Allowed are this relative deviation, or this many standard
# errors.
_LEAST_DEVIATION, _MOST_ERRORS = 0.005, 4.0
_FEWEST_BEATS, _EVEN = 4, 0.15
# Ratios between the detected tempo and the loop's.
_SPEEDS = np.array([1 / 4, 1 / 3, 1 / 2, 2 / 3, 1, 4 / 3, 3 / 2, 2, 3, 4])
# The range below the loudest level, and the faintest level, as log10 of power.
_RANGE, _FAINTEST = 5.0, -10.0
# Noise of any colour has up to 0.03, chords 0.19, drums at least 0.22.
_LEAST_TOGETHER = 0.08
# Three chance beats in a second of noise have a mean strength of up to 0.5.
_CLEAR = 0.55


@dataclass(frozen=True)
class Loop:
    """A loop of `count` beats, its tempo, and the activations when it is repeated."""

    count: int
    bpm: float
    activations: Activations


def is_clear(once: beats.Pulse) -> bool:
    """Return whether the beats are clearer than any detected in noise."""
    return bool(len(once.strengths) and once.strengths.mean() >= _CLEAR)


def is_noise(mono: Samples) -> bool:
    """Return whether all bands of a short piece rise and fall independently.

    Notes and drums begin in many bands at once, so the variance of the mean rise is a
    large part of the mean variance of the bands' rises. In noise it is as small as that
    of a mean of independent numbers.
    """
    spectrogram = Spectrogram()
    levels = np.concatenate([spectrogram.add(mono), spectrogram.end()])
    levels = np.maximum(levels, max(levels.max(initial=_FAINTEST) - _RANGE, _FAINTEST))
    # Ignore the rises at the start and the end of the piece.
    rises = np.maximum(np.diff(levels, axis=0), 0)[2:-2]
    if not rises.any():
        return True
    together = rises.mean(axis=1).var() / rises.var(axis=0).mean()
    return bool(together < _LEAST_TOGETHER)


def find(mono: Samples, once: beats.Pulse, engine: Engine) -> Loop | None:
    """Return the most likely loop of a short piece, or None if it is not a loop.

    `once` are its beats when played once; `engine` analyses it repeated.
    """
    seconds = len(mono) / SAMPLE_RATE
    if seconds > LONGEST_SECONDS:
        return None
    pace = _pace(once)
    times = max(int(np.ceil(_PLAYED_SECONDS / seconds)), _FEWEST_TIMES)
    engine.add(np.tile(mono, times))
    activations = engine.activations()
    best, likeliest = None, -np.inf
    for count in _COUNTS:
        bpm = 60.0 * count / seconds
        if not beats.SLOWEST_BPM <= bpm <= beats.FASTEST_BPM:
            continue
        if pace is not None and not _keeps(pace, seconds / count):
            continue
        pulse = beats.track(activations, bpm * (1 - _NEAR), bpm * (1 + _NEAR))
        likely = pulse.fit - (_TRIPLE_COST if count % 3 == 0 else 0)
        if pulse.fit < once.fit - _SEAM_COST or likely <= likeliest:
            continue
        line = grid.line(pulse.times, pulse.strengths)
        if line is not None and abs(line.interval * bpm / 60.0 - 1) < _NEAR / 2:
            best, likeliest = Loop(count, bpm, activations), likely
    return best


def _pace(once: beats.Pulse) -> tuple[float, float] | None:
    """Return the interval of even beats and its standard error, or None if uneven."""
    times = once.times
    if len(times) < _FEWEST_BEATS:
        return None
    intervals = np.diff(times)
    if np.any(np.abs(intervals / np.median(intervals) - 1) > _EVEN):
        return None
    places = np.arange(len(times)) * 1.0
    interval, start = grid.regression(places, times, np.ones(len(times)))
    variance = np.square(times - start - interval * places).sum() / (len(times) - 2)
    return interval, float(np.sqrt(variance / len(times)) / places.std())


def _keeps(pace: tuple[float, float], interval: float) -> bool:
    """Return whether the beats' pace is compatible with a loop's beat interval."""
    detected, error = pace
    deviation = float(np.abs(detected / interval / _SPEEDS - 1).min())
    return deviation <= max(_LEAST_DEVIATION, _MOST_ERRORS * error / detected)
