"""Accuracy of tempi, beats and keys, by the field's standard measures.

Tempo: accuracy 1 and 2 of Gouyon et al., "An experimental comparison of audio tempo
induction algorithms" (IEEE TASLP 2006). Beats and keys: as in MIREX and mir_eval
(Raffel et al., ISMIR 2014).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

TOLERANCE = 0.04
BEAT_WINDOW_SECONDS = 0.07
# Earlier beats are not scored: a listener needs these seconds to find the beat.
FIRST_SECONDS = 5.0
# Keys estimated with at least this confidence count as "sure".
SURE = 0.8

# Common ratios of a wrong tempo to the true one.
RATIOS = {
    "1/2": 1 / 2,
    "2": 2.0,
    "2/3": 2 / 3,
    "3/2": 3 / 2,
    "3/4": 3 / 4,
    "4/3": 4 / 3,
    "1/3": 1 / 3,
    "3": 3.0,
}
# The ratios that count the same pulse at another level.
_OCTAVES = ("1/2", "2", "1/3", "3")

_PITCH_CLASSES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_KEY = re.compile(r"([A-G])([#b]?)\s*(maj(?:or)?|min(?:or)?|M|m)?\.?", re.ASCII)


def tempo_error(bpm: float, true_bpm: float) -> str:
    """Return "right", the ratio in RATIOS that the tempo is off by, or "other"."""
    if _is_near(bpm, true_bpm):
        return "right"
    for name, ratio in RATIOS.items():
        if _is_near(bpm, true_bpm * ratio):
            return name
    return "other"


def is_acc1(bpm: float, true_bpm: float) -> bool:
    """Return whether a tempo is within 4 % of the true one."""
    return _is_near(bpm, true_bpm)


def is_acc2(bpm: float, true_bpm: float) -> bool:
    """Return whether a tempo, its half, double, third or triple is within 4 %."""
    return tempo_error(bpm, true_bpm) in ("right", *_OCTAVES)


def _is_near(bpm: float, true_bpm: float) -> bool:
    return abs(bpm - true_bpm) <= TOLERANCE * true_bpm


def beat_f(
    estimated: ArrayLike, true: ArrayLike, window_seconds: float = BEAT_WINDOW_SECONDS
) -> float:
    """Return the F-measure of estimated beats, in seconds, each matched at most once.

    Beats in the first five seconds are ignored. 0 if either side has no beats.
    """
    estimated_beats, true_beats = judged(estimated), judged(true)
    if not len(estimated_beats) or not len(true_beats):
        return 0.0
    hits = _matches(estimated_beats, true_beats, window_seconds)
    return 2 * hits / (len(estimated_beats) + len(true_beats))


def judged(beats: ArrayLike) -> NDArray[np.float64]:
    """Return the beats from five seconds on, sorted."""
    found = np.sort(np.asarray(beats, np.float64))
    return found[found >= FIRST_SECONDS]


def _matches(
    estimated: NDArray[np.float64], true: NDArray[np.float64], window: float
) -> int:
    """Return the largest number of pairs within a window that share no beat."""
    hits = at = 0
    for beat in true:
        while at < len(estimated) and estimated[at] < beat - window:
            at += 1
        if at < len(estimated) and estimated[at] <= beat + window:
            hits += 1
            at += 1
    return hits


def key_of(name: str) -> tuple[int, bool]:
    """Return the pitch class and is_minor of a key such as "Eb minor", "F#m" or "C".

    Raises ValueError for other names.
    """
    match = _KEY.fullmatch(name.strip()[:1].upper() + name.strip()[1:])
    if match is None:
        raise ValueError(f'A key must be a name such as "Eb minor", got {name!r}.')
    letter, accidental, mode = match.groups()
    pitch_class = _PITCH_CLASSES[letter] + {"#": 1, "b": -1, "": 0}[accidental]
    return pitch_class % 12, mode is not None and mode.startswith("m") and mode[
        :3
    ] != "maj"


def is_key(estimated: str, true: str) -> bool:
    """Return whether two names denote the same key."""
    return key_of(estimated) == key_of(true)


def mirex(estimated: str, true: str) -> float:
    """Return MIREX's weight: 1 exact, .5 fifth above, .3 relative, .2 parallel."""
    (tonic, is_minor), (true_tonic, true_minor) = key_of(estimated), key_of(true)
    above = (tonic - true_tonic) % 12
    if is_minor == true_minor:
        return {0: 1.0, 7: 0.5}.get(above, 0.0)
    if above == 0:
        return 0.2
    return 0.3 if above == (3 if true_minor else 9) else 0.0


@dataclass(frozen=True)
class Truth:
    """The annotations of a song; None where unknown. Times are in seconds.

    `bpm` is None for a tempo that is not constant. `groups` are the song's categories,
    as in {"style": "waltz"}.
    """

    bpm: float | None = None
    key: str | None = None
    beats: tuple[float, ...] | None = None
    downbeats: tuple[float, ...] | None = None
    groups: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Estimate:
    """An analyser's estimates for a song; None where it gives none."""

    bpm: float | None = None
    key: str | None = None
    key_confidence: float | None = None
    beats: tuple[float, ...] | None = None
    downbeats: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Figures:
    """Scores over songs, 0 to 1; None where no song has the annotation.

    `errors` are the shares of tempi that are wrong by a ratio in RATIOS, or "other".
    `sure` is the share of keys estimated with a confidence of at least SURE,
    `sure_right` the share of those that are right.
    """

    songs: int
    tempo_songs: int
    acc1: float | None
    acc2: float | None
    errors: Mapping[str, float]
    beat_f: float | None
    downbeat_f: float | None
    key_exact: float | None
    mirex: float | None
    sure: float | None
    sure_right: float | None


def figures(songs: Sequence[tuple[Truth, Estimate]]) -> Figures:
    """Return the scores of estimates against annotations."""
    tempi = [
        (estimate.bpm, truth.bpm)
        for truth, estimate in songs
        if truth.bpm is not None and estimate.bpm is not None
    ]
    beats = [
        beat_f(estimate.beats, truth.beats)
        for truth, estimate in songs
        if truth.beats is not None and estimate.beats is not None
    ]
    downbeats = [
        beat_f(estimate.downbeats, truth.downbeats)
        for truth, estimate in songs
        if truth.downbeats is not None and estimate.downbeats is not None
    ]
    keys = [
        (estimate.key, truth.key, estimate.key_confidence)
        for truth, estimate in songs
        if truth.key is not None and estimate.key is not None
    ]
    graded = [key for key in keys if key[2] is not None]
    sure = [key for key in graded if key[2] is not None and key[2] >= SURE]
    return Figures(
        songs=len(songs),
        tempo_songs=len(tempi),
        acc1=_mean([is_acc1(*pair) for pair in tempi]),
        acc2=_mean([is_acc2(*pair) for pair in tempi]),
        errors={
            name: _mean([tempo_error(*pair) == name for pair in tempi]) or 0.0
            for name in (*RATIOS, "other")
        },
        beat_f=_mean(beats),
        downbeat_f=_mean(downbeats),
        key_exact=_mean([is_key(key, true) for key, true, _ in keys]),
        mirex=_mean([mirex(key, true) for key, true, _ in keys]),
        sure=len(sure) / len(graded) if graded else None,
        sure_right=_mean([is_key(key, true) for key, true, _ in sure]),
    )


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def tempo_band(bpm: float) -> str:
    """Return the band of a tempo, as in "110-140"."""
    edges = (80, 110, 140, 155)
    for low, high in pairwise((0, *edges)):
        if bpm < high:
            return f"{low}-{high}" if low else f"<{high}"
    return f">={edges[-1]}"
