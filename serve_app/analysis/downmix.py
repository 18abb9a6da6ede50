"""Downmix of two channels to one at 22,050 Hz that keeps sounds out of phase."""

import numpy as np
import soxr
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Vector = NDArray[np.float64]
Bins = NDArray[np.complexfloating]

SAMPLE_RATE = 22_050

# 1.5 s: over shorter segments a chorus, whose phases rotate, would seem to cancel.
_SEGMENT_SAMPLES = 32_768
_HOP_SAMPLES = _SEGMENT_SAMPLES // 2
_WINDOW = np.sqrt(np.hanning(_SEGMENT_SAMPLES + 1)[:-1]).astype(np.float32)
# Octaves: the bins 0 to 31 (21 Hz), 32 to 63, and so on.
_BAND_STARTS = (0, *(2**power for power in range(5, 14)))
_BAND_BINS = np.diff((*_BAND_STARTS, _HOP_SAMPLES + 1))
# The mid's share of an octave's power below which the left channel replaces the mid
# (-13 dB), and above which the mid is used alone (-10 dB). Channels that merely differ
# don't lower the share this far.
_CANCELLED, _AUDIBLE = 0.05, 0.1
# Octaves of the side 30 dB below all of the mid's power count as masked, not missing.
_MASKED = 1e-3
_NOTHING = np.zeros(0, np.float32)


class Downmix:
    """Mix two channels to half their sum, or to the left one where they cancel.

    The choice is made for each octave and each segment, with crossfades. Where no
    octave cancels, the output is exactly half the sum. At most 3 s of the song are
    buffered.
    """

    def __init__(self, sample_rate: int) -> None:
        self._mid, self._side = (_resampler(sample_rate) for _ in range(2))
        # Samples of incomplete segments, which start half a segment before the song,
        # and what the earlier segments add to them.
        self._mids, self._sides = (np.zeros(_HOP_SAMPLES, np.float32) for _ in range(2))
        self._missing = np.zeros(_SEGMENT_SAMPLES, np.float32)
        self._samples_in = self._samples_out = 0

    def add(self, block: Samples) -> Samples:
        """Take a block (2, n) of the song; return the mono samples (m) now complete."""
        mid = (block[0] + block[1]) * np.float32(0.5)
        return self._add(mid, block[0] - mid, is_last=False)

    def end(self) -> Samples:
        """Return the remaining samples."""
        rest = self._add(_NOTHING, _NOTHING, is_last=True)
        padding = np.zeros(_SEGMENT_SAMPLES, np.float32)
        return np.concatenate([rest, self._mixed(padding, padding)])

    def _add(self, mid: Samples, side: Samples, *, is_last: bool) -> Samples:
        mids = self._mid.resample_chunk(mid, last=is_last)
        sides = self._side.resample_chunk(side, last=is_last)
        self._samples_in += len(mids)
        return self._mixed(mids, sides)

    def _mixed(self, mids: Samples, sides: Samples) -> Samples:
        """Return the samples that no later segment changes, up to the song's end."""
        self._mids = np.concatenate([self._mids, mids])
        self._sides = np.concatenate([self._sides, sides])
        pieces = [_NOTHING]
        for start in range(0, len(self._mids) - _SEGMENT_SAMPLES + 1, _HOP_SAMPLES):
            segment = slice(start, start + _SEGMENT_SAMPLES)
            self._missing += _missing(self._mids[segment], self._sides[segment])
            pieces.append(self._mids[segment][:_HOP_SAMPLES] + self._shift())
        done = (len(pieces) - 1) * _HOP_SAMPLES
        self._mids, self._sides = self._mids[done:], self._sides[done:]
        return self._within_the_song(np.concatenate(pieces))

    def _shift(self) -> Samples:
        ready = self._missing[:_HOP_SAMPLES].copy()
        self._missing[:_HOP_SAMPLES] = self._missing[_HOP_SAMPLES:]
        self._missing[_HOP_SAMPLES:] = 0
        return ready

    def _within_the_song(self, samples: Samples) -> Samples:
        # The output starts half a segment before the song.
        before = max(_HOP_SAMPLES - self._samples_out, 0)
        after = _HOP_SAMPLES + self._samples_in - self._samples_out
        self._samples_out += len(samples)
        return samples[before : max(after, 0)]


def _resampler(sample_rate: int) -> soxr.ResampleStream:
    return soxr.ResampleStream(sample_rate, SAMPLE_RATE, 1, dtype="float32")


def _missing(mid: Samples, side: Samples) -> Samples:
    """Return what to add to a segment of the mid, windowed for overlap-add."""
    if not side.any():
        return np.zeros(_SEGMENT_SAMPLES, np.float32)
    sides = np.fft.rfft(side * _WINDOW)
    weights = _weights(np.fft.rfft(mid * _WINDOW), sides)
    if not weights.any():
        return np.zeros(_SEGMENT_SAMPLES, np.float32)
    added = np.fft.irfft(sides * np.repeat(weights, _BAND_BINS)) * _WINDOW
    missing: Samples = added.astype(np.float32)
    return missing


def _weights(mids: Bins, sides: Bins) -> Vector:
    """Return for each octave how much of the side to add to the mid, 0 to 1."""
    mid_power, side_power = _powers(mids), _powers(sides)
    audible = mid_power + _MASKED * mid_power.sum()
    both = np.maximum(audible + side_power, np.finfo(np.float32).tiny)
    missing = (_AUDIBLE - audible / both) / (_AUDIBLE - _CANCELLED)
    return np.where(side_power > 0, np.clip(missing, 0.0, 1.0), 0.0)


def _powers(bins: Bins) -> Vector:
    """Return the power of each octave."""
    power = np.square(bins.real) + np.square(bins.imag)
    powers: Vector = np.add.reduceat(power, _BAND_STARTS, dtype=np.float64)
    return powers
