"""Beats and bars: the most likely path through an engine's activations."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.analysis import bar_network
from serve_app.analysis.features import FRAMES_PER_SECOND
from serve_app.analysis.network import (
    NEARBY_FRAMES,
    TEMPI_BPM,
    Activations,
    highest,
)

Floats = NDArray[np.floating]
Integers = NDArray[np.integer]

SLOWEST_BPM, FASTEST_BPM = 40.0, 240.0

_TEMPI_PER_OCTAVE = 24
# A beat is at most this many frames early or late.
_LATEST = 2
# The standard deviation at intervals of 1 s; it grows with the interval's square root.
_JITTER_FRAMES = 1.4
# The costs of a tempo change by one step, and of a change to any other tempo.
_STEP_COST, _JUMP_COST = 4.0, 20.0
# The weight per second of the engine's log probability of a tempo.
_TEMPO_WEIGHT = 0.3
_LEAST_TEMPO = 1e-4
_LEAST, _MOST = 0.02, 0.98
# A beat's probability is spread over several frames, so each has only a part of it.
_GAIN, _BIAS = 0.6, 0.7
# Paths are found in pieces of this length, with this much overlap on both sides.
_PIECE_FRAMES, _OVERLAP_FRAMES = 600 * FRAMES_PER_SECOND, 20 * FRAMES_PER_SECOND

METERS = (2, 3, 4, 5, 7)
# Costs (negative log likelihoods) of an incomplete bar, of a change of meter, and of
# music that does not begin with a bar.
_METER_COST, _CHANGE_COST, _PICKUP_COST = 15.0, 15.0, 10.0
# The additional cost of bars longer than this many beats.
_USUAL_BEATS, _RARE_COST = 4, 15.0
_LEAST_DOWNBEAT = 0.1
# The same error repeats in every bar, so beats beyond this many add no evidence.
_EVIDENCE_BEATS = 400
_SHORTEST_FRAMES = 10
# There are no beats before the first frame with this beat probability, or after the
# last one.
_FAINT = 0.1


@dataclass(frozen=True)
class Pulse:
    """Beats at `frames` (k, integers) and at `times` (k, seconds).

    `strengths` (k) are the engine's probabilities; `fit` is the path's log likelihood
    per second, relative to that of a path without beats.
    """

    frames: Integers
    times: Floats
    strengths: Floats
    fit: float


def track(
    activations: Activations, slowest: float = SLOWEST_BPM, fastest: float = FASTEST_BPM
) -> Pulse:
    """Return the most likely beats with tempi from `slowest` to `fastest` (BPM).

    The path is found in pieces of ten minutes with 20 s of overlap on both sides, so
    that neighbouring pieces agree about the beats where they meet.
    """
    count = len(activations.beats)
    pieces: list[Integers] = [np.zeros(0, np.intp)]
    fit = 0.0
    for start in range(0, count, _PIECE_FRAMES):
        end = start + _PIECE_FRAMES
        first = max(start - _OVERLAP_FRAMES, 0)
        piece = activations.beats[first : end + _OVERLAP_FRAMES]
        found, score = _path(piece, activations.tempi, slowest, fastest)
        found = found + first
        pieces.append(found[(found >= start) & (found < end)])
        fit += score
    frames = np.concatenate(pieces)
    if len(frames):
        # Two pieces can place the beat at their border at slightly different frames.
        frames = frames[np.diff(frames, prepend=-_SHORTEST_FRAMES) >= _SHORTEST_FRAMES]
        clear = np.flatnonzero(activations.beats >= _FAINT)
        if len(clear):
            is_music = (frames >= clear[0] - 2) & (frames <= clear[-1] + 2)
            frames = frames[is_music]
    return Pulse(
        frames=frames,
        times=_times(activations.beats, frames),
        strengths=highest(activations.beats, frames),
        fit=fit / max(count / FRAMES_PER_SECOND, 1e-9),
    )


def _path(
    beats: NDArray[np.float32],
    tempi: NDArray[np.float32],
    slowest: float,
    fastest: float,
) -> tuple[Integers, float]:
    """Return the frames of the most likely beats, and the path's score.

    A semi-Markov chain. A state is a beat at a frame and the interval to the next beat;
    the score sums the log odds of a beat at each, less the costs of uneven intervals.
    Frames are computed in groups as long as the shortest interval.
    """
    octaves = np.log2(fastest / slowest)
    bpm = fastest * 2.0 ** -np.linspace(
        0, octaves, max(round(octaves * _TEMPI_PER_OCTAVE), 1) + 1
    )
    intervals = 60.0 * FRAMES_PER_SECOND / bpm
    lags = (
        np.rint(intervals).astype(np.intp) + np.arange(-_LATEST, _LATEST + 1)[:, None]
    )
    costs = _interval_costs(intervals, lags, bpm, tempi)
    chances = np.clip(beats, _LEAST, _MOST)
    odds = _GAIN * np.log(chances / (1 - chances)) + _BIAS
    width, margin, together = len(intervals), int(lags.max()), int(lags.min())
    # At [margin + t, i], over the paths with a beat at t: the best score that arrived
    # with interval i, and the best that continues with it. Paths begin before the song.
    came = np.zeros((margin + len(odds), width), np.float32)
    going = np.zeros_like(came)
    flat = going.ravel()
    places = (np.arange(together)[:, None] + margin - lags[:, None]) * width
    places += np.arange(width)
    for first in range(0, len(odds), together):
        count = min(together, len(odds) - first)
        options = flat[places[:, :count] + first * width]
        options -= costs[:, None]
        new = options.max(axis=0, out=came[margin + first :][:count])
        new += odds[first : first + count, None]
        on = going[margin + first :][:count]
        np.maximum(new, new.max(axis=1, keepdims=True) - _JUMP_COST, out=on)
        np.maximum(on[:, 1:], new[:, :-1] - _STEP_COST, out=on[:, 1:])
        np.maximum(on[:, :-1], new[:, 1:] - _STEP_COST, out=on[:, :-1])
    if not len(odds):
        return np.zeros(0, np.intp), 0.0
    # The path ends where the next beat would be after the song's end.
    left = np.arange(len(came))[:, None] - len(came) + lags.max(axis=0)
    row, column = divmod(int(np.where(left >= 0, came, -np.inf).argmax()), width)
    total = float(came[row, column])
    found = []
    while row >= margin:
        found.append(row - margin)
        options = going[row - lags[:, column], column] - costs[:, column]
        row -= int(lags[int(options.argmax()), column])
        new = came[row] - _JUMP_COST
        near = slice(max(column - 1, 0), column + 2)
        new[near] += _JUMP_COST - _STEP_COST
        new[column] += _STEP_COST
        column = int(new.argmax())
    return np.array(found[::-1], np.intp), total


def _interval_costs(
    intervals: Floats, lags: Integers, bpm: Floats, tempi: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the cost of each lag at each interval: (lags, intervals)."""
    spread = _JITTER_FRAMES * np.sqrt(intervals / FRAMES_PER_SECOND)
    deviation = 0.5 * np.square((lags - intervals) / spread)
    likely = np.interp(
        np.log2(bpm), np.log2(TEMPI_BPM), np.log(tempi / tempi.max() + _LEAST_TEMPO)
    )
    seconds = intervals / FRAMES_PER_SECOND
    return np.asarray(deviation - _TEMPO_WEIGHT * likely * seconds, np.float32)


def _times(beats: NDArray[np.float32], frames: Integers) -> Floats:
    """Return the beats' times in seconds: centroids of the activation around each."""
    around = np.arange(-NEARBY_FRAMES, NEARBY_FRAMES + 1)
    padded = np.pad(beats, 2 * NEARBY_FRAMES).astype(np.float64)
    # Centre on the highest of three frames.
    near = padded[frames[:, None] + np.arange(-1, 2) + 2 * NEARBY_FRAMES]
    middle = frames + near.argmax(axis=1) - 1 if len(frames) else frames
    weights = padded[middle[:, None] + around + 2 * NEARBY_FRAMES]
    shift = (weights * around).sum(axis=1) / (weights.sum(axis=1) + 0.02)
    times: Floats = (middle + shift) / FRAMES_PER_SECOND
    return times


def bars(activations: Activations, pulse: Pulse) -> tuple[NDArray[np.bool_], int]:
    """Return which beats begin bars (k), and the meter: the beats of most bars.

    A hidden Markov model over positions in bars of 2, 3, 4, 5 and 7 beats. Incomplete
    bars and changes of meter have a cost.
    """
    if not len(pulse.frames):
        return np.zeros(0, np.bool_), 4
    first = bar_network.downbeats(activations, pulse.frames)
    first = np.clip(first, _LEAST_DOWNBEAT, 1 - _LEAST_DOWNBEAT)
    weight = min(1.0, _EVIDENCE_BEATS / len(first))
    on, off = weight * np.log(first), weight * np.log(1 - first)
    states = [(meter, place) for meter in METERS for place in range(meter)]
    cost = np.zeros((len(states), len(states)))
    for i, (meter, place) in enumerate(states):
        for j, (new_meter, new_place) in enumerate(states):
            if meter == new_meter and new_place == (place + 1) % meter:
                continue
            ends = place == meter - 1 and new_place == 0
            cost[i, j] = _CHANGE_COST if ends and new_meter != meter else np.inf
            if new_place == 0 and not ends:
                cost[i, j] = _METER_COST + (_CHANGE_COST if meter != new_meter else 0)
    is_first = np.array([place == 0 for _, place in states])
    is_rare = np.array([meter > _USUAL_BEATS for meter, _ in states])
    scores = np.where(is_first, on[0], off[0] - _PICKUP_COST) - _RARE_COST * is_rare
    came = np.zeros((len(on), len(states)), np.intp)
    for k in range(1, len(on)):
        options = scores[:, None] - cost
        came[k] = options.argmax(axis=0)
        scores = options[came[k], np.arange(len(states))]
        scores = scores + np.where(is_first, on[k], off[k])
    path = [int(scores.argmax())]
    for k in range(len(on) - 1, 0, -1):
        path.append(int(came[k, path[-1]]))
    taken = np.array(path[::-1])
    meters = np.array([meter for meter, _ in states])[taken]
    return is_first[taken], int(np.bincount(meters).argmax())
