"""The sections of a song: where its sound changes, and which sections repeat."""

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks

Features = NDArray[np.float32]
Vector = NDArray[np.float64]

PITCH_CLASSES = 12

# Four bars at 128 BPM are 7.5 s.
_SHORTEST_SECONDS = 7.0
# The sound is compared over this much on both sides of a boundary: about two cycles of
# four chords, so that a single chord is not a section.
_WINDOW_SECONDS = 14.0
# The least change of sound at a boundary. A change of 10 dB in all bands counts 1, and
# so does a change of all sound to another pitch class.
_LEAST_CHANGE = 0.22
# Sections whose sounds are closer than this have the same label.
_SAME = 0.2

# Power 50 dB below the loudest counts as silence.
_FLOOR = 1e-5
# Sections this much quieter than the loudest one have the energy 0.
_ENERGY_DECIBELS = 40.0
# More frames than this are merged: a song of 10 h has frames of 10 s.
_MOST_FRAMES = 3_600
# The largest distance to a downbeat that a boundary moves: half a slow bar.
_SNAP_SECONDS = 2.0


@dataclass(frozen=True)
class Section:
    """A time span in which the song sounds the same.

    Sections with the same `label` sound the same; the first is A. `energy` is 1 for the
    loudest section, and 0 for sections at least 40 dB quieter.
    """

    start_seconds: float
    end_seconds: float
    label: str
    energy: float

    def to_dict(self) -> dict[str, Any]:
        """Return the section as JSON, with numbers rounded."""
        return {
            "start_seconds": round(self.start_seconds, 3),
            "end_seconds": round(self.end_seconds, 3),
            "label": self.label,
            "energy": round(self.energy, 3),
        }


def find(
    features: Features,
    frame_seconds: float,
    downbeats: Sequence[float] | None = None,
    sound_seconds: tuple[float, float] = (0.0, np.inf),
) -> list[Section]:
    """Return the sections of a song in order, from features (frames, n).

    A frame holds the strengths of the 12 pitch classes from C on, then the powers of
    any number of bands, all means over the frame; 0.5 s is a good frame length.
    Boundaries move to the nearest of `downbeats` (s) within 2 s. Silence at the ends
    belongs to no section, and a silent song has none. All sections lie within
    `sound_seconds`, the start and end of the sound.

    The boundaries are peaks of the novelty of Foote (2000), "Automatic audio
    segmentation using a measure of audio novelty", ICME. With dot products as
    similarities and an untapered kernel, the novelty is the squared distance between
    the means before and after a frame, so no matrix of all frames is needed.
    """
    length_seconds = len(features) * frame_seconds
    frames, frame_seconds = _coarser(features.astype(np.float64), frame_seconds)
    first, last = _sounding(frames[:, PITCH_CLASSES:].sum(axis=1))
    frames = frames[first:last]
    if not len(frames):
        return []
    sounds = _sounds(frames)
    window = _window_seconds(downbeats) / frame_seconds
    shortest = max(round(_SHORTEST_SECONDS / frame_seconds), 1)
    edges = [0, *_peaks(_changes(sounds, window), shortest), len(frames)]
    edges, labels = _merged(edges, _labels(_means(sounds, edges)))
    places = (first + np.array(edges)) * frame_seconds
    start, end = sound_seconds
    times: list[float] = np.clip(places, start, min(end, length_seconds)).tolist()
    times[1:-1] = _snapped(times[1:-1], downbeats)
    energies = _energies(_means(frames, edges)[:, PITCH_CLASSES:].sum(axis=1))
    return [
        Section(start, end, label, energy)
        for start, end, label, energy in zip(
            times[:-1], times[1:], labels, energies, strict=True
        )
    ]


def _coarser(frames: Vector, frame_seconds: float) -> tuple[Vector, float]:
    """Return frames merged into means of several, if there are too many."""
    factor = max(-(-len(frames) // _MOST_FRAMES), 1)
    if factor == 1:
        return frames, frame_seconds
    starts = np.arange(0, len(frames), factor)
    counts = np.diff(np.append(starts, len(frames)))
    means: Vector = np.add.reduceat(frames, starts) / counts[:, None]
    return means, factor * frame_seconds


def _sounding(powers: Vector) -> tuple[int, int]:
    """Return the first frame that is not silent, and the frame after the last one."""
    loud = np.flatnonzero(powers > powers.max(initial=0.0) * _FLOOR)
    return (int(loud[0]), int(loud[-1]) + 1) if len(loud) else (0, 0)


def _window_seconds(downbeats: Sequence[float] | None) -> float:
    """Return the time to compare: a multiple of four bars, for whole chord cycles."""
    if downbeats is None or len(downbeats) < 2:
        return _WINDOW_SECONDS
    four_bars = 4 * float(np.median(np.diff(downbeats)))
    if not _WINDOW_SECONDS / 4 < four_bars < _WINDOW_SECONDS * 2:
        return _WINDOW_SECONDS
    return four_bars * max(round(_WINDOW_SECONDS / four_bars), 1)


def _sounds(frames: Vector) -> Vector:
    """Return vectors (frames, n) whose distances measure differences in sound."""
    chroma, powers = frames[:, :PITCH_CLASSES], frames[:, PITCH_CLASSES:]
    strengths = np.linalg.norm(chroma, axis=1, keepdims=True)
    is_heard = strengths > strengths.max() * np.sqrt(_FLOOR)
    pitches = np.divide(chroma, strengths, out=np.zeros_like(chroma), where=is_heard)
    loudest = max(float(powers.max(initial=0.0)), float(np.finfo(np.float32).tiny))
    bels = np.log10(np.maximum(powers / loudest, _FLOOR))
    return np.concatenate([pitches, bels / np.sqrt(max(bels.shape[1], 1))], axis=1)


def _changes(sounds: Vector, window: float) -> Vector:
    """Return the distance (n) between the means before each frame and from it on.

    `window` is the number of frames on each side; it may be fractional.
    """
    sums = np.concatenate([np.zeros((1, sounds.shape[1])), sounds.cumsum(axis=0)])
    middles = np.arange(len(sounds), dtype=np.float64)
    starts = np.maximum(middles - window, 0)
    ends = np.minimum(middles + window, len(sounds))
    here = _at(sums, middles)
    before = (here - _at(sums, starts)) / np.maximum(middles - starts, 1.0)[:, None]
    behind = (_at(sums, ends) - here) / (ends - middles)[:, None]
    changes: Vector = np.linalg.norm(behind - before, axis=1)
    return changes


def _at(sums: Vector, places: Vector) -> Vector:
    """Return the cumulative sums (frames, n) at fractional frame positions."""
    whole = np.minimum(places.astype(np.intp), len(sums) - 2)
    part = (places - whole)[:, None]
    between: Vector = sums[whole] * (1 - part) + sums[whole + 1] * part
    return between


def _peaks(changes: Vector, shortest: int) -> list[int]:
    """Return the frames of large changes, away from one another and from the ends."""
    frames, _ = find_peaks(
        changes,
        height=_LEAST_CHANGE,
        distance=shortest,
        prominence=_LEAST_CHANGE / 2,
    )
    # Filtered afterwards, so that peaks near the ends still suppress smaller ones.
    is_inside = (frames >= shortest) & (frames <= len(changes) - shortest)
    inside: list[int] = frames[is_inside].tolist()
    return inside


def _means(frames: Vector, edges: list[int]) -> Vector:
    """Return the mean frame of each section (sections, n)."""
    means: Vector = np.add.reduceat(frames, edges[:-1]) / np.diff(edges)[:, None]
    return means


def _labels(sounds: Vector) -> list[str]:
    """Return a letter for each section's mean sound (sections, n)."""
    known: list[Vector] = []
    labels: list[str] = []
    for sound in sounds:
        distances = [float(np.linalg.norm(sound - other)) for other in known]
        if not distances or min(distances) > _SAME:
            known.append(sound)
            distances.append(0.0)
        labels.append(_letters(int(np.argmin(distances))))
    return labels


def _letters(number: int) -> str:
    """Return A to Z, then AA, AB and so on."""
    letters = ascii_uppercase[number % 26]
    return letters if number < 26 else _letters(number // 26 - 1) + letters


def _merged(edges: list[int], labels: list[str]) -> tuple[list[int], list[str]]:
    """Return the edges and labels with equal neighbouring sections merged."""
    kept = [n for n in range(len(labels)) if n == 0 or labels[n] != labels[n - 1]]
    return [*(edges[n] for n in kept), edges[-1]], [labels[n] for n in kept]


def _snapped(times: list[float], downbeats: Sequence[float] | None) -> list[float]:
    """Return the nearest downbeat for each time (s), or the time if none is near."""
    if downbeats is None or not len(downbeats):
        return times
    known = np.asarray(downbeats, np.float64)
    nearest = [float(known[np.abs(known - time).argmin()]) for time in times]
    return [
        downbeat if abs(downbeat - time) <= _SNAP_SECONDS else time
        for time, downbeat in zip(times, nearest, strict=True)
    ]


def _energies(powers: Vector) -> list[float]:
    """Return the energies, 0 to 1, of sections with mean powers (n)."""
    faintest = 10 ** (-_ENERGY_DECIBELS / 10)
    decibels = 10 * np.log10(np.maximum(powers / powers.max(), faintest))
    energies: list[float] = (1 + decibels / _ENERGY_DECIBELS).tolist()
    return energies
