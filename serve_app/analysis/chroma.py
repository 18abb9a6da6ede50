"""The strength of each pitch, second by second, at the song's own tuning."""

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from serve_app.analysis.downmix import SAMPLE_RATE, Samples

Matrix = NDArray[np.float32]
Vector = NDArray[np.floating]

# MIDI pitches: C1 at 33 Hz up to B7 at 3,951 Hz.
LOWEST_PITCH, PITCHES = 24, 84
SEGMENT_SECONDS = 1.0

# 0.74 s: long enough to separate semitones from 65 Hz up.
_WINDOW_SAMPLES = 16_384
_FRAMES = 4  # in a segment
_HOP_SAMPLES = int(SEGMENT_SECONDS * SAMPLE_RATE) // _FRAMES
_SEGMENT_SAMPLES = _FRAMES * _HOP_SAMPLES
_READ_SAMPLES = _WINDOW_SAMPLES + (_FRAMES - 1) * _HOP_SAMPLES
_WINDOW = np.hanning(_WINDOW_SAMPLES + 1)[:-1].astype(np.float32)
_BIN_HZ = SAMPLE_RATE / _WINDOW_SAMPLES
_FIRST_BIN, _LAST_BIN = 20, 3_000  # 27 Hz to 4,037 Hz
# Magnitudes are compressed, so that one loud voice does not hide the chords.
_POWER = 0.4
# A peak must exceed the mean of the 16 Hz on each side of it by a fifth.
_FLOOR_BINS, _OVER_FLOOR = 25, 1.2
# Magnitudes 180 dB below full scale are silence; those 120 dB below the largest sample
# may be rounding errors of an offset or of an inaudibly low sound.
_SILENCE, _ROUNDING = 1e-9, 1e-6
_BLOCK = 512  # seconds
# The assumed overtones of a note that are not octaves: the third, fifth and seventh
# partial, in semitones, and their strengths after compression.
_OVERTONES = ((19, 0.6), (28, 0.42), (34, 0.3))
# A Gaussian weight around F#4, where most melodies and chords are.
_MIDDLE, _WIDTH = 42, 20
# Bins of a fifth of a semitone, as the tuning is known only at the end of the song.
_PARTS = 5
_PART_CENTRES = (np.arange(PITCHES * _PARTS) + 0.5) / _PARTS - 0.5


@dataclass(frozen=True)
class Pitches:
    """The pitches of a song.

    `strengths` (seconds, 84) has one row for each second and one column for each
    semitone from C1 up, in compressed units. `tuning_semitones` is the song's deviation
    from A = 440 Hz, -0.5 to 0.5. `in_tune` is how well all peaks agree on it, 0 to 1:
    at least 0.2 for music, mostly less than 0.15 for noise, drums and speech.
    """

    strengths: Matrix
    tuning_semitones: float
    in_tune: float


class PitchListener:
    """Measures the pitches of a song that arrives in mono blocks at 22,050 Hz.

    It keeps 840 bytes for each second of the song.
    """

    def __init__(self) -> None:
        # The first frame is centred on the first sample.
        self._samples = np.zeros(_WINDOW_SAMPLES // 2, np.float32)
        self._segments: list[NDArray[np.float16]] = []
        self._turns, self._total = 0j, 0.0

    def add(self, block: Samples) -> None:
        """Take the next samples (n)."""
        self._samples = np.concatenate([self._samples, block])
        start = 0
        while len(self._samples) - start >= _READ_SAMPLES:
            semitones, heights = _peaks(self._samples[start : start + _READ_SAMPLES])
            self._segments.append(_binned(semitones, heights))
            # Deviations from whole semitones lie on a circle.
            self._turns += complex(heights @ np.exp(2j * np.pi * semitones))
            self._total += float(heights.sum())
            start += _SEGMENT_SAMPLES
        self._samples = self._samples[start:]

    def result(self) -> Pitches:
        """Return the pitches of the whole song, its last second padded with silence."""
        self.add(np.zeros(_READ_SAMPLES - len(self._samples), np.float32))
        tuning = float(np.angle(self._turns)) / (2 * np.pi)
        in_tune = abs(self._turns) / self._total if self._total else 0.0
        semitones = np.floor(_PART_CENTRES - tuning + 0.5)
        folds = (semitones[:, None] == np.arange(PITCHES)).astype(np.float32)
        # In blocks, to avoid a copy of the whole song in full precision.
        blocks = [
            np.array(self._segments[at : at + _BLOCK], np.float32) @ folds
            for at in range(0, len(self._segments), _BLOCK)
        ]
        strengths: Matrix = np.concatenate(blocks)
        return Pitches(strengths, tuning, in_tune)


def pitch_classes(strengths: Matrix) -> Matrix:
    """Return the strength of each pitch class in each second (n, 12), minus overtones.

    `strengths` (n, 84) are those of Pitches.
    """
    bare = strengths.copy()
    for semitones, share in _OVERTONES:
        bare[:, semitones:] -= share * strengths[:, :-semitones]
    pitches = np.sqrt(np.maximum(bare, 0))
    pitches *= np.exp(-np.square((np.arange(PITCHES) - _MIDDLE) / _WIDTH))
    classes: Matrix = pitches.reshape(len(pitches), -1, 12).sum(axis=1)
    return classes


def _peaks(samples: Samples) -> tuple[Vector, Vector]:
    """Return the peaks of the spectrum: semitones above the lowest pitch, and heights.

    The frames of a second are averaged first, which flattens noise and drums into the
    floor, so that held notes stand out.
    """
    frames = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW_SAMPLES)
    spectrum = scipy.fft.rfft(frames[::_HOP_SAMPLES] * _WINDOW)[:, _FIRST_BIN:_LAST_BIN]
    magnitudes = np.abs(spectrum) * np.float32(4 / _WINDOW_SAMPLES)
    faintest = max(_SILENCE, _ROUNDING * float(np.abs(samples).max()))
    levels = np.maximum(magnitudes, np.float32(faintest)) ** np.float32(_POWER)
    levels = levels.mean(axis=0)
    floor = _OVER_FLOOR * uniform_filter1d(levels, _FLOOR_BINS, mode="nearest")
    top = levels[1:-1]
    is_peak = (top > levels[:-2]) & (top >= levels[2:]) & (top > floor[1:-1])
    at = np.flatnonzero(is_peak)
    # A parabola through the logarithms of a peak and its neighbours.
    left, middle, right = (np.log(levels[at + step]) for step in range(3))
    offset = 0.5 * (left - right) / (left - 2 * middle + right)
    heights = np.exp(middle - 0.25 * (left - right) * offset) - floor[at + 1]
    hertz = (_FIRST_BIN + at + 1 + offset) * _BIN_HZ
    semitones = 12 * np.log2(hertz / 440) + 69 - LOWEST_PITCH
    return semitones, heights


def _binned(semitones: Vector, heights: Vector) -> NDArray[np.float16]:
    """Return the summed heights of the peaks in each fifth of a semitone."""
    parts = np.floor((semitones + 0.5) * _PARTS).astype(int)
    is_heard = (parts >= 0) & (parts < PITCHES * _PARTS)
    strengths = np.bincount(
        parts[is_heard], heights[is_heard], minlength=PITCHES * _PARTS
    )
    return strengths.astype(np.float16)
