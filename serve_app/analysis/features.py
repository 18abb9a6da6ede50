"""Features for beats and bars, computed block by block: mel bands and pitch classes."""

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from serve_app.analysis.downmix import SAMPLE_RATE, Samples

Levels = NDArray[np.float32]

FRAMES_PER_SECOND = 50
HOP_SAMPLES = SAMPLE_RATE // FRAMES_PER_SECOND
BANDS = 81
# Harmony changes more slowly than levels: chroma has one frame for every eight.
CHROMA_FRAMES = 8
PITCH_CLASSES = 12

# 46 ms, as in Davies and Böck (2019), "Temporal convolutional networks for musical
# audio beat tracking", EUSIPCO.
_WINDOW_SAMPLES = 1_024
_LOWEST_HZ, _HIGHEST_HZ = 30.0, 10_000.0
# The power of silence, below the faintest 24-bit sound attenuated by 80 dB.
_FLOOR = np.float32(1e-20)
# 0.19 s: long enough to separate semitones from 180 Hz up.
_CHROMA_WINDOW_SAMPLES = 4_096
# MIDI pitches: six octaves from E1 up; the lowest two are the bass.
_LOWEST_PITCH, _OCTAVES, _BASS_OCTAVES = 28, 6, 2
# Frames per batch, so that the spectra fit into the CPU cache.
_FRAMES_AT_ONCE = 256


class _Frames:
    """Cut mono blocks into windows; window i is centred on sample i * hop."""

    def __init__(self, window_samples: int, hop_samples: int, width: int) -> None:
        self._window = np.hanning(window_samples + 1)[:-1].astype(np.float32)
        self._hop_samples, self._width = hop_samples, width
        self._waiting = np.zeros(window_samples // 2, np.float32)

    def add(self, mono: Samples) -> Levels:
        """Take a block (n) of any length; return the frames it completes."""
        samples = np.concatenate([self._waiting, mono.astype(np.float32, copy=False)])
        size, hop = len(self._window), self._hop_samples
        frames = max((len(samples) - size) // hop + 1, 0)
        self._waiting = samples[frames * hop :]
        if not frames:
            return np.zeros((0, self._width), np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(samples, size)
        windows = windows[: frames * hop : hop]
        return np.concatenate(
            [
                self._levels(windows[first : first + _FRAMES_AT_ONCE] * self._window)
                for first in range(0, frames, _FRAMES_AT_ONCE)
            ]
        )

    def end(self) -> Levels:
        """Return the last frames, with windows that extend past the end."""
        return self.add(np.zeros(len(self._window) // 2, np.float32))

    def _levels(self, windows: Samples) -> Levels:
        raise NotImplementedError


class Spectrogram(_Frames):
    """Turn mono blocks at 22,050 Hz into 50 frames a second of 81 mel bands.

    Frame i is centred on sample 441 i; a level is the base-10 logarithm of power.
    """

    def __init__(self) -> None:
        super().__init__(_WINDOW_SAMPLES, HOP_SAMPLES, BANDS)
        self._filters = _mel_filters()

    def _levels(self, windows: Samples) -> Levels:
        bins = scipy.fft.rfft(windows, axis=1)
        power = np.square(bins.real) + np.square(bins.imag)
        levels: Levels = np.log10(power @ self._filters + _FLOOR)
        return levels


class Chromagram(_Frames):
    """Turn mono blocks at 22,050 Hz into 6.25 frames a second of pitch classes.

    Frame i (24 values) is centred on sample 3528 i: the 12 classes from E up over all
    octaves, then over the bass. Values are square roots of magnitudes, so that one loud
    voice does not hide the chords.
    """

    def __init__(self) -> None:
        hop = CHROMA_FRAMES * HOP_SAMPLES
        super().__init__(_CHROMA_WINDOW_SAMPLES, hop, 2 * PITCH_CLASSES)
        self._filters = _pitch_filters()

    def _levels(self, windows: Samples) -> Levels:
        bins = scipy.fft.rfft(windows, axis=1)[:, : len(self._filters)]
        strengths = np.sqrt(np.abs(bins) @ self._filters)
        octaves = strengths.reshape(len(windows), _OCTAVES, PITCH_CLASSES)
        bass = octaves[:, :_BASS_OCTAVES].sum(axis=1)
        return np.concatenate([octaves.sum(axis=1), bass], axis=1)


def _pitch_filters() -> NDArray[np.float32]:
    """Return triangular filters (bins, pitches), one semitone wide on each side.

    Below 91 Hz, where semitones are narrower than bins, each side is one bin wide.
    """
    width = SAMPLE_RATE / _CHROMA_WINDOW_SAMPLES
    pitches = _LOWEST_PITCH + np.arange(_OCTAVES * PITCH_CLASSES)
    centres = 440.0 * 2.0 ** ((pitches - 69) / 12)
    reach = np.maximum(centres * (2 ** (1 / 12) - 1), width)
    bins = np.arange(int((centres + reach).max() / width) + 1) * width
    filters = np.maximum(1 - np.abs(bins[:, None] - centres) / reach, 0)
    return np.asarray(filters / len(bins), np.float32)


def _mel_filters() -> NDArray[np.float32]:
    """Return triangular filters (bins, bands), equally wide in mel, each of sum 1.

    The scale is O'Shaughnessy's (1987), 1127 ln(1 + f/700). Below about 500 Hz, where
    bands are narrower than bins, each side is at least one bin wide.
    """
    edges = np.linspace(_mel(_LOWEST_HZ), _mel(_HIGHEST_HZ), BANDS + 2)
    hertz = 700.0 * np.expm1(edges / 1127.0)
    bins = np.arange(_WINDOW_SAMPLES // 2 + 1) * SAMPLE_RATE / _WINDOW_SAMPLES
    width = SAMPLE_RATE / _WINDOW_SAMPLES
    low, mid, high = hertz[:-2], hertz[1:-1], hertz[2:]
    low, high = np.minimum(low, mid - width), np.maximum(high, mid + width)
    rising = (bins[:, None] - low) / (mid - low)
    falling = (high - bins[:, None]) / (high - mid)
    filters = np.maximum(np.minimum(rising, falling), 0.0)
    # So that a full-scale sine has a level near 0 in its band.
    loudest = _WINDOW_SAMPLES**2 / 16
    return np.asarray(filters / filters.sum(axis=0) / loudest, np.float32)


def _mel(hertz: float) -> float:
    return float(1127.0 * np.log1p(hertz / 700.0))
