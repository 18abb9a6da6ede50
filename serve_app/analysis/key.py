"""The key of a song, its changes over time, and the names of keys."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from serve_app.analysis import key_network
from serve_app.analysis.chroma import (
    Matrix,
    Pitches,
    PitchListener,
    pitch_classes,
)
from serve_app.analysis.downmix import SAMPLE_RATE, Samples
from serve_app.analysis.key_network import Tensor

PITCH_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")

# The key at each second is estimated from the 12 s around it.
_CONTEXT_SECONDS = 12
# The cost of a key change: how much likelier (log likelihood ratio) the new key must be
# over all its seconds.
_CHANGE = 80.0
# Below the first, peaks that disagree on a tuning are noise, drums or speech. From
# there, confidence grows up to the second, where music begins.
UNTUNED, _TUNED = 0.1, 0.2
# How well each note fits a key, from the tonic up: Krumhansl and Kessler (1982), as in
# Krumhansl (1990), Cognitive Foundations of Musical Pitch, table 2.1.
_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
# The weight of the profiles' correlation beside the network, and the scale of both, in
# natural logarithms: chosen and fitted on music outside the training set.
_PROFILE_WEIGHT, _SCALE = 10.0, 0.7
# Confidence is 0 where the network's highest share is below the first, as for drums,
# and grows up to the second.
_TONAL = (0.15, 0.35)
# Seconds with less than this share of the mean compressed loudness are ignored.
_QUIET = 0.1


@dataclass(frozen=True)
class Key:
    """A key: a tonic, 0 for C to 11 for B, a mode, and a confidence, 0 to 1."""

    tonic: int
    is_minor: bool
    confidence: float

    @property
    def name(self) -> str:
        """The key's name, spelt with sharps: `C# minor`."""
        return f"{PITCH_CLASSES[self.tonic]} {'minor' if self.is_minor else 'major'}"

    @property
    def camelot(self) -> str:
        """The key on the Camelot wheel: C major is 8B, A minor 8A."""
        return f"{(self._fifths + 7) % 12 + 1}{'A' if self.is_minor else 'B'}"

    @property
    def open_key(self) -> str:
        """The key in Open Key notation: C major is 1d, A minor 1m."""
        return f"{self._fifths + 1}{'m' if self.is_minor else 'd'}"

    @property
    def _fifths(self) -> int:
        """Fifths from C up to the relative major's tonic."""
        major = self.tonic + 3 if self.is_minor else self.tonic
        return major * 7 % 12


# The key of sound without pitch, so that there is always a name.
NO_KEY = Key(0, is_minor=False, confidence=0.0)


@dataclass(frozen=True)
class KeySpan:
    """A time span of a song in one key, in seconds."""

    start_seconds: float
    end_seconds: float
    key: Key


@dataclass(frozen=True)
class Keys:
    """The keys of a song.

    `key` is the key that lasts longest; `runner_up` is the next most likely one, and
    its confidence the probability that it is right. `tuning_hz` is the pitch of A4. If
    there is no key, `reason` says why, `key` is NO_KEY, `runner_up` None and the
    timeline empty.
    """

    key: Key
    runner_up: Key | None
    timeline: tuple[KeySpan, ...]
    tuning_hz: float
    reason: str | None = None


class KeyListener:
    """Finds the keys of a song that arrives in mono blocks at 22,050 Hz."""

    def __init__(self) -> None:
        self._pitches = PitchListener()
        self._samples = 0

    def add(self, block: Samples) -> None:
        """Take the next samples (n)."""
        self._pitches.add(block)
        self._samples += len(block)

    def result(self) -> Keys:
        """Return the keys of all samples; call it once, at the end."""
        return keys(self._pitches.result(), self._samples / SAMPLE_RATE)


def none(tuning_hz: float, reason: str = "no pitch") -> Keys:
    """Return the result for a song without a key."""
    return Keys(NO_KEY, None, (), tuning_hz, reason)


def keys(pitches: Pitches, duration_seconds: float) -> Keys:
    """Return the keys of a song with these pitches."""
    tuning_hz = 440.0 * 2 ** (pitches.tuning_semitones / 12)
    reason = _why_none(pitches)
    if reason is not None:
        return none(tuning_hz, reason)
    loudness = pitches.strengths.mean(axis=1)
    audible = np.flatnonzero(loudness > _QUIET * loudness.mean())
    strengths = pitches.strengths[audible]
    harmony = key_network.harmony(strengths / strengths.mean())
    classes = pitch_classes(strengths)
    network, overall = _evidence(harmony, classes)
    size = min(_CONTEXT_SECONDS, len(harmony))
    # In place, as the array has 40 MB for 10 hours.
    uniform_filter1d(harmony, size, axis=0, mode="nearest", output=harmony)
    around = _likely(harmony)
    # The song's overall key is a prior for each second: half from the mean harmony of
    # all seconds, half from the mean of the local estimates.
    path = _path(around + (network + around.mean(axis=0)) / 2)
    # The path gives the change points; each span's key is estimated from all of it.
    changes = (np.flatnonzero(np.diff(path)) + 1).tolist()
    for start, end in pairwise((0, *changes, len(path))):
        part = slice(start, end)
        path[part] = _evidence(harmony[part], classes[part])[1].argmax()
    best = int(np.bincount(path).argmax())
    shares = _softmax(_SCALE * overall)
    shares *= np.interp(np.exp(network.max()), _TONAL, (0.0, 1.0))
    shares *= np.interp(pitches.in_tune, (UNTUNED, _TUNED), (0.0, 1.0))
    second = next(int(key) for key in np.argsort(-shares) if key != best)
    return Keys(
        _key(best, shares),
        _key(second, shares),
        _spans(path, audible, shares, duration_seconds),
        tuning_hz,
    )


def find(mono: Samples) -> Key:
    """Return the key of mono samples at 22,050 Hz, NO_KEY if nothing has a pitch."""
    listener = KeyListener()
    listener.add(mono)
    return listener.result().key


def _why_none(pitches: Pitches) -> str | None:
    if not pitches.strengths.any():
        return "silence"
    return "no pitch" if pitches.in_tune < UNTUNED else None


def _key(index: int, shares: Matrix) -> Key:
    return Key(int(index) % 12, bool(index >= 12), float(shares[index]))


def _softmax(logits: Matrix) -> Matrix:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    softmax: Matrix = powers / powers.sum(axis=-1, keepdims=True)
    return softmax


def _evidence(harmony: Tensor, classes: Matrix) -> tuple[Matrix, Matrix]:
    """Return the scores of the keys (24) by the network alone and with the profiles.

    Both are log likelihoods over all seconds together.
    """
    network = _likely(harmony.mean(axis=0, keepdims=True))[0]
    profiles = [np.roll(mode, k) for mode in (_MAJOR, _MINOR) for k in range(12)]
    fits = np.corrcoef([classes.mean(axis=0), *profiles])[0, 1:]
    return network, network + _PROFILE_WEIGHT * fits


def _likely(harmony: Tensor) -> Matrix:
    """Return the log probability of each key, (n, 24)."""
    likely: Matrix = np.log(_softmax(key_network.logits(harmony)))
    return likely


def _path(likely: Matrix) -> NDArray[np.intp]:
    """Return the most likely key of each second (Viterbi); a change costs `_CHANGE`."""
    came_from = np.empty(likely.shape, np.intp)
    score = np.zeros(likely.shape[1])
    for second, now in enumerate(likely):
        best = score.argmax()
        stays = score >= score[best] - _CHANGE
        came_from[second] = np.where(stays, np.arange(len(score)), best)
        score = np.where(stays, score, score[best] - _CHANGE) + now
        score -= score.max()
    path = np.empty(len(likely), np.intp)
    at = score.argmax()
    for second in range(len(likely) - 1, -1, -1):
        path[second] = at
        at = came_from[second, at]
    return path


def _spans(
    path: NDArray[np.intp],
    audible: NDArray[np.intp],
    shares: Matrix,
    end_seconds: float,
) -> tuple[KeySpan, ...]:
    changes = np.flatnonzero(np.diff(path)) + 1
    starts = [0.0, *(float(audible[at]) for at in changes)]
    ends = [*starts[1:], end_seconds]
    keys = [_key(path[at], shares) for at in (0, *changes)]
    return tuple(map(KeySpan, starts, ends, keys))
