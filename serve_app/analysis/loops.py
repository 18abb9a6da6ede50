"""Short loops: their length is a whole number of beats, and is exact."""

import numpy as np
from numpy.typing import NDArray

from serve_app.analysis.downmix import SAMPLE_RATE, Samples
from serve_app.analysis.features import FRAMES_PER_SECOND, Spectrogram

Curve = NDArray[np.float64]

# A bar of four beats at 60. Longer loops repeat themselves.
LONGEST_SECONDS = 4.0
# A bar of three or four beats, counted as they are, at half or at double speed.
_BEATS = (2, 3, 4, 6, 8)
# What is cut at no beat mostly has less of a pulse when it is repeated.
_LEAST_PULSE = 0.5
_MULTIPLES = 4
_OFF_BEAT_WEIGHT = 0.2
# Of the loudest, in logarithms to base 10 of power; a hi-hat over digital silence must
# not weigh like a drum.
_RANGE = 5.0
# Kick, snare and bass tell the beat, cymbals mostly divide it: bands below 1 kHz.
_LOW_BANDS = 28
_PREFERRED_BPM, _PREFERENCE_OCTAVES = 120.0, 0.9


def bpm(mono: Samples, slowest: float, fastest: float) -> float | None:
    """Return the tempo of a short loop from its length; None if it is no loop.

    Too few beats are in a bar to repeat themselves, but played on and on it repeats.
    """
    seconds = len(mono) / SAMPLE_RATE
    if not 0 < seconds <= LONGEST_SECONDS:
        return None
    tempi = 60.0 * np.array(_BEATS) / seconds
    tempi = tempi[(tempi >= slowest) & (tempi <= fastest)]
    repeats = _repeats(mono)
    if repeats is None or not len(tempi):
        return None
    lags = 60.0 * FRAMES_PER_SECOND / tempi
    beats = np.arange(1, _MULTIPLES + 1)
    on = _near(repeats, lags[:, None] * beats).mean(axis=1)
    off = _near(repeats, lags[:, None] * (beats - 0.5)).mean(axis=1)
    pulse = on - _OFF_BEAT_WEIGHT * off
    distance = np.log2(tempi / _PREFERRED_BPM) / _PREFERENCE_OCTAVES
    best = int(np.argmax(pulse * np.exp(-0.5 * distance**2)))
    return float(tempi[best]) if pulse[best] > _LEAST_PULSE else None


def _repeats(mono: Samples) -> Curve | None:
    """Return how alike the loop's onsets are by lag, round and round; 1 at lag 0."""
    spectrogram = Spectrogram()
    levels = np.concatenate([spectrogram.add(np.tile(mono, 3)), spectrogram.end()])
    levels = np.maximum(levels, levels.max() - _RANGE)[:, :_LOW_BANDS]
    # In the middle of three, what rings over its end is heard at its beginning.
    frames = round(len(mono) / SAMPLE_RATE * FRAMES_PER_SECOND)
    rises = np.maximum(np.diff(levels, axis=0), 0).mean(axis=1)[frames : 2 * frames]
    spectrum = np.fft.rfft(rises - rises.mean())
    repeats = np.fft.irfft(np.abs(spectrum) ** 2, frames)
    if not repeats[0] > np.finfo(np.float32).tiny:
        return None
    # Four beats can be twice the loop, which goes on after its end.
    return np.tile(repeats / repeats[0], _MULTIPLES)


def _near(repeats: Curve, lags: Curve) -> Curve:
    """Return the likeness at each lag, the best within a frame of it (20 ms)."""
    frames = np.rint(lags).astype(np.intp)
    padded = np.pad(repeats, (0, max(int(frames.max()) + 2 - len(repeats), 0)))
    near: Curve = np.stack([padded[frames + shift] for shift in (-1, 0, 1)]).max(axis=0)
    return near
