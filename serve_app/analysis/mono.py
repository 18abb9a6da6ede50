"""Two channels as one, without losing what they would cancel of each other."""

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Vector = NDArray[np.float64]
Bins = NDArray[np.complexfloating]

# 1.5 s at 22,050 Hz: in shorter ones a chorus, whose phases turn, would seem cancelled.
_SEGMENT_SAMPLES = 32_768
_HOP_SAMPLES = _SEGMENT_SAMPLES // 2
# Octaves: the bins 0 to 31 (21 Hz), 32 to 63, and so on.
_BAND_STARTS = (0, *(2**power for power in range(5, 14)))
_BAND_BINS = np.diff((*_BAND_STARTS, _HOP_SAMPLES + 1))
# The left channel is listened to where the sum's part of both is below this (-13 dB),
# the sum where it is over that (-10 dB): so far apart are no channels that only differ.
_CANCELLED, _AUDIBLE = 0.05, 0.1
# What lies 30 dB below all else in the sum does not count as missing from it.
_MASKED = 1e-3


def mono(mid: Samples, side: Samples) -> Samples:
    """Return half the channels' sum (n), or the left one where they cancel each other.

    `side` is half their difference. Where is a matter of octaves and of seconds, and
    goes over by degrees. To the last bit it is `mid` for songs that never come near.
    """
    whole = mid.copy()
    if not side.any():
        return whole
    window = np.sqrt(np.hanning(_SEGMENT_SAMPLES + 1)[:-1]).astype(np.float32)
    for start in range(-_HOP_SAMPLES, len(mid), _HOP_SAMPLES):
        sides = np.fft.rfft(_segment(side, start) * window)
        weights = _weights(np.fft.rfft(_segment(mid, start) * window), sides)
        if weights.any():
            missing = np.fft.irfft(sides * np.repeat(weights, _BAND_BINS)) * window
            room = whole[max(start, 0) : start + _SEGMENT_SAMPLES]
            room += missing[max(-start, 0) :][: len(room)].astype(np.float32)
    return whole


def _segment(samples: Samples, start: int) -> Samples:
    """Return the segment from there on, with silence before the song and after it."""
    piece = samples[max(start, 0) : start + _SEGMENT_SAMPLES]
    before = max(-start, 0)
    return np.pad(piece, (before, _SEGMENT_SAMPLES - before - len(piece)))


def _weights(mids: Bins, sides: Bins) -> Vector:
    """Return for each octave how much of the side must be added, 0 to 1."""
    mid_power, side_power = _powers(mids), _powers(sides)
    heard = mid_power + _MASKED * mid_power.sum()
    both = np.maximum(heard + side_power, np.finfo(np.float32).tiny)
    missing = (_AUDIBLE - heard / both) / (_AUDIBLE - _CANCELLED)
    return np.where(side_power > 0, np.clip(missing, 0.0, 1.0), 0.0)


def _powers(bins: Bins) -> Vector:
    """Return the power of each octave."""
    power = np.square(bins.real) + np.square(bins.imag)
    powers: Vector = np.add.reduceat(power, _BAND_STARTS, dtype=np.float64)
    return powers
