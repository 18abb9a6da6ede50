"""Mel spectrogram of a song, block by block: what beats are found in."""

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from serve_app.analysis.downmix import SAMPLE_RATE, Samples

Levels = NDArray[np.float32]

FRAMES_PER_SECOND = 50
HOP_SAMPLES = SAMPLE_RATE // FRAMES_PER_SECOND
BANDS = 81

# 46 ms, as in Davies and Böck (2019), "Temporal convolutional networks for musical
# audio beat tracking", EUSIPCO.
_WINDOW_SAMPLES = 1_024
_LOWEST_HZ, _HIGHEST_HZ = 30.0, 10_000.0
# Silence is as loud as this: fainter than anything of 24 bits, made fainter by 80 dB.
_FLOOR = np.float32(1e-20)
# So many frames at once keep the spectra within a processor's cache.
_FRAMES_AT_ONCE = 256


class Spectrogram:
    """Turns mono blocks at 22,050 Hz into 50 frames a second of 81 mel bands.

    Frame i is centred on sample 441 i; a level is the logarithm to base 10 of power.
    """

    def __init__(self) -> None:
        self._window = np.hanning(_WINDOW_SAMPLES + 1)[:-1].astype(np.float32)
        self._filters = _mel_filters()
        self._waiting = np.zeros(_WINDOW_SAMPLES // 2, np.float32)

    def add(self, mono: Samples) -> Levels:
        """Take a block (n) of any length; return the frames that it completes."""
        samples = np.concatenate([self._waiting, mono.astype(np.float32, copy=False)])
        frames = max((len(samples) - _WINDOW_SAMPLES) // HOP_SAMPLES + 1, 0)
        self._waiting = samples[frames * HOP_SAMPLES :]
        if not frames:
            return np.zeros((0, BANDS), np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW_SAMPLES)
        windows = windows[: frames * HOP_SAMPLES : HOP_SAMPLES]
        return np.concatenate(
            [
                self._levels(windows[first : first + _FRAMES_AT_ONCE])
                for first in range(0, frames, _FRAMES_AT_ONCE)
            ]
        )

    def end(self) -> Levels:
        """Return the last frames, whose windows reach past the end."""
        return self.add(np.zeros(_WINDOW_SAMPLES // 2, np.float32))

    def _levels(self, windows: Samples) -> Levels:
        bins = scipy.fft.rfft(windows * self._window, axis=1)
        power = np.square(bins.real) + np.square(bins.imag)
        levels: Levels = np.log10(power @ self._filters + _FLOOR)
        return levels


def _mel_filters() -> NDArray[np.float32]:
    """Return triangular filters (bins, bands), equally wide in mel, each of sum 1.

    The scale is O'Shaughnessy's (1987), 1127 ln(1 + f/700). Below some 500 Hz, where
    bands are narrower than bins, each takes of the bins beside it.
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
    # A full-scale sine is near 0 in its band.
    loudest = _WINDOW_SAMPLES**2 / 16
    return np.asarray(filters / filters.sum(axis=0) / loudest, np.float32)


def _mel(hertz: float) -> float:
    return float(1127.0 * np.log1p(hertz / 700.0))
