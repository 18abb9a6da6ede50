"""The tempo of a song, from its beats."""

import librosa
import numpy as np
from numpy.typing import NDArray

from serve_app.analysis.excerpt import SAMPLE_RATE, Samples

Curve = NDArray[np.float64]

# Said of what has no pulse, so that the tempo is always a usable number.
DEFAULT_BPM = 120.0
SLOWEST_BPM, FASTEST_BPM = 40.0, 240.0
# Of a song that can be counted at half or double speed, the tempo nearer to 120 is
# told: this is the width of the preference in octaves.
PREFERENCE_OCTAVES = 0.9

_HOP = 256
_FRAMES_PER_SECOND = SAMPLE_RATE / _HOP
# Kick, snare and bass tell the beat; cymbals mostly divide it.
_HIGHEST_HZ = 1_000.0
_BANDS = 40
_FLOOR_DECIBELS = 50.0
_CANDIDATES_PER_OCTAVE = 96
_MULTIPLES = 4
_OFF_BEAT_WEIGHT = 0.2
# A bar of three or four beats, counted as they are, at half or at double speed.
_BEATS_IN_A_LOOP = (2, 3, 4, 6, 8)
# A bar of four beats at 60. Longer loops repeat themselves.
_LONGEST_LOOP_SECONDS = 4.0
# What is cut at no beat mostly has less of a pulse when it is repeated.
_LOOP_PULSE = 0.5
_BEATS_IN_A_LINE = (64, 16)
# Beats are found to 12 ms; on a line they miss it by little more.
_STRAIGHT_SECONDS = 0.015


def bpm(mono: Samples) -> float:
    """Return the tempo of mono samples at 22,050 Hz in beats per minute, 40 to 240.

    A pulse that can be counted at several speeds is counted at the one nearer to 120;
    silence and what lasts less than a second are 120.
    """
    if len(mono) < SAMPLE_RATE:
        return DEFAULT_BPM
    strength = _onset_strength(mono)
    rough = _rough_bpm(strength)
    if rough is None:
        return DEFAULT_BPM
    _, beats = librosa.beat.beat_track(
        onset_envelope=strength,
        sr=SAMPLE_RATE,
        hop_length=_HOP,
        bpm=rough,
        trim=True,
        units="time",
    )
    fine = _bpm_of_beats(np.asarray(beats, np.float64))
    # A tracker that lost the beat says nothing better than the rough tempo.
    is_sane = fine is not None and abs(fine / rough - 1) < 0.04
    found = fine if fine is not None and is_sane else rough
    loop = _loop_bpm(mono)
    if loop is not None:
        # Its length tells the beats apart; at which speed they count, the beats tell.
        speeds = loop * 2.0 ** np.arange(-3, 4)
        speeds = speeds[(speeds >= SLOWEST_BPM) & (speeds <= FASTEST_BPM)]
        found = float(speeds[np.argmin(np.abs(np.log2(speeds / found)))])
    # A line through the beats can leave the range by as much as it may differ.
    return float(np.clip(found, SLOWEST_BPM, FASTEST_BPM))


def _loop_bpm(mono: Samples) -> float | None:
    """Return the tempo of a short loop from its length; None if it seems to be none.

    Too few beats are in a bar to repeat themselves, but played on and on it repeats.
    Where it goes on in time, its length is a whole number of beats, and is exact.
    """
    seconds = len(mono) / SAMPLE_RATE
    tempi = 60.0 * np.array(_BEATS_IN_A_LOOP) / seconds
    tempi = tempi[(tempi >= SLOWEST_BPM) & (tempi <= FASTEST_BPM)]
    if seconds > _LONGEST_LOOP_SECONDS or not len(tempi):
        return None
    frames = round(seconds * _FRAMES_PER_SECOND)
    # In the middle of three, what rings over its end is heard at its beginning.
    strength = _onset_strength(np.tile(mono, 3))[frames : 2 * frames]
    spectrum = np.fft.rfft(strength - strength.mean())
    repeats = np.fft.irfft(np.abs(spectrum) ** 2, frames)
    if not repeats[0] > np.finfo(np.float32).tiny:
        return None
    # Four beats can be twice the loop, which goes on after its end.
    around = np.tile(repeats / repeats[0], _MULTIPLES)
    lags = 60.0 * _FRAMES_PER_SECOND / tempi
    pulse = _pulse(around, lags, np.arange(1, _MULTIPLES + 1))
    best = int(np.argmax(pulse * _preference(tempi)))
    return float(tempi[best]) if pulse[best] > _LOOP_PULSE else None


def _pulse(repeats: Curve, lags: Curve, beats: NDArray[np.intp]) -> Curve:
    """Return how much better onsets repeat after these beats than between them."""
    on = _near(repeats, lags[:, None] * beats).mean(axis=1)
    off = _near(repeats, lags[:, None] * (beats - 0.5)).mean(axis=1)
    pulse: Curve = on - _OFF_BEAT_WEIGHT * off
    return pulse


def _preference(tempi: Curve) -> Curve:
    """Return the weight of each tempo, 1 at 120 and less the farther it is from it."""
    distance = np.log2(tempi / DEFAULT_BPM) / PREFERENCE_OCTAVES
    weight: Curve = np.exp(-0.5 * distance**2)
    return weight


def _onset_strength(mono: Samples) -> Curve:
    """Return how much louder the low bands get at each hop of 256 samples."""
    power = librosa.feature.melspectrogram(
        y=mono,
        sr=SAMPLE_RATE,
        hop_length=_HOP,
        n_mels=_BANDS,
        fmax=_HIGHEST_HZ,
    )
    # The floor is high: a hi-hat over digital silence must not weigh like a drum.
    levels = librosa.power_to_db(power, ref=np.max, top_db=_FLOOR_DECIBELS)
    rises = np.maximum(np.diff(levels, axis=1, prepend=levels[:, :1]), 0.0)
    strength: Curve = rises.mean(axis=0, dtype=np.float64)
    return strength


def _rough_bpm(strength: Curve) -> float | None:
    """Return the candidate tempo at whose multiples the onsets repeat best.

    A tempo gains by the autocorrelation at one to four beats and loses a little by
    that between the beats, which tells a slow count from a fast one.
    """
    repeats = _autocorrelation(strength)
    if repeats is None:
        return None
    octaves = np.log2(FASTEST_BPM / SLOWEST_BPM)
    steps = np.arange(octaves * _CANDIDATES_PER_OCTAVE + 1) / _CANDIDATES_PER_OCTAVE
    candidates = SLOWEST_BPM * 2**steps
    lags = 60.0 * _FRAMES_PER_SECOND / candidates
    pulse = _pulse(repeats, lags, np.arange(1, _MULTIPLES + 1))
    score = pulse * _preference(candidates)
    best = int(np.argmax(score))
    return float(candidates[best]) if score[best] > 0 else None


def _autocorrelation(strength: Curve) -> Curve | None:
    """Return the autocorrelation of onsets by lag, 1 at lag 0; None without onsets."""
    frames = len(strength)
    spectrum = np.fft.rfft(strength - strength.mean(), 2 * frames)
    sums = np.fft.irfft(np.abs(spectrum) ** 2)[:frames]
    # Past half the length too few pairs are left to mean anything.
    means = sums[: frames // 2 + 1] / (frames - np.arange(frames // 2 + 1))
    return means / means[0] if means[0] > np.finfo(np.float32).tiny else None


def _near(repeats: Curve, lags: Curve) -> Curve:
    """Return the largest autocorrelation within two frames (23 ms) of each lag."""
    frames = np.rint(lags).astype(np.intp)
    padding = max(int(frames.max()) + 3 - len(repeats), 0)
    padded = np.pad(repeats, (0, padding))
    nearby = np.stack([padded[frames + shift] for shift in (-2, -1, 0, 1, 2)])
    nearest: Curve = nearby.max(axis=0)
    return nearest


def _bpm_of_beats(times: Curve) -> float | None:
    """Return the tempo of beats at `times` (s): the slope of a line through them.

    Where the beats don't lie on one line, because of a break, an intro without a beat
    or a human drummer, it is the median slope of shorter and shorter lines.
    """
    if len(times) < 3:
        return None
    counts = np.concatenate([[0.0], np.cumsum(_whole(np.diff(times)))])
    for size in (len(times), *_BEATS_IN_A_LINE):
        slopes, errors = _lines(counts, times, min(size, len(times)))
        if np.median(errors) < _STRAIGHT_SECONDS:
            break
    return float(60.0 / np.median(slopes))


def _lines(counts: Curve, times: Curve, beats: int) -> tuple[Curve, Curve]:
    """Fit lines to so many beats each; return their slopes and root mean errors (s)."""
    starts = np.arange(0, len(times) - beats + 1, max(beats // 4, 1))
    rows = starts[:, None] + np.arange(beats)
    x = counts[rows] - counts[rows].mean(axis=1, keepdims=True)
    y = times[rows] - times[rows].mean(axis=1, keepdims=True)
    slopes = (x * y).sum(axis=1) / (x * x).sum(axis=1)
    errors = np.sqrt(((y - slopes[:, None] * x) ** 2).mean(axis=1))
    return slopes, errors


def _whole(intervals: Curve) -> Curve:
    """Return the beats that each interval spans: two or more where some are missed."""
    return np.maximum(np.rint(intervals / np.median(intervals)), 1.0)
