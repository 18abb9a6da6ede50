"""Loudness: ITU-R BS.1770-5, EBU R 128 with Tech 3341 and 3342, ReplayGain 2.0."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.signal import sosfilt

from serve_app.analysis.steps import Samples, StepSums, Vector, pieces

# BS.1770-5, annex 1, tables 1 and 2: the K-weighting at 48 kHz, a shelf for the effect
# of the head and a high-pass, as (b0, b1, b2, a0, a1, a2).
_TABLES_HZ = 48_000
_SHELF = (
    *(1.53512485958697, -2.69169618940638, 1.19839281085285),
    *(1.0, -1.69065929318241, 0.73248077421585),
)
_HIGH_PASS = (1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621)
# BS.1770-5, annex 1, equation 2: compensates the K-weighting's gain at 997 Hz.
_OFFSET_DECIBELS = -0.691

_ABSOLUTE_GATE_LUFS = -70.0
# BS.1770-5, annex 1, equation 6, and Tech 3342, section 3.1.
_RELATIVE_GATE_LU, _RANGE_GATE_LU = -10.0, -20.0
_RANGE_PERCENTS = (10, 95)

# Tech 3341, section 2.2. Momentary windows are also the gating blocks of BS.1770.
_MOMENTARY_SECONDS, _SHORT_TERM_SECONDS = 0.4, 3.0
# Gated windows overlap by 75 % (of 0.4 s). The maxima use a finer step, because that
# overlap can underestimate a sound of 0.4 s by 0.6 LU; the finer step by 0.06 LU.
_HOPS_PER_SECOND, _STEPS_PER_SECOND = 10, 100

# The target level of ReplayGain 2.0.
_REPLAYGAIN_LUFS = -18.0

# BS.1770-5, annex 2, requires at least 192 kHz for a song at 48 kHz.
_FOURFOLD_BELOW_HZ, _TWOFOLD_BELOW_HZ = 64_000, 128_000
# The filter is flat to 0.13 dB up to 20 kHz at 44.1 kHz, to 0.025 dB up to 18 kHz.
_HALF_TAPS = 16
_KAISER_BETA = 5.0
# Samples interpolated by one row of a matrix product.
_ROW_SAMPLES = 16

# 600 dB below full scale. Smaller filter states decay to slow denormal numbers.
_NOTHING = 1e-30


@dataclass(frozen=True)
class Loudness:
    """The loudness of a song; None where it has too little sound to measure.

    Integrated, short-term and momentary loudness are in LUFS, the loudness range in LU,
    the true peak in dB relative to full scale. `replaygain_gain_db` is the gain to -18
    LUFS; `replaygain_peak` is the largest sample, with full scale 1.
    """

    integrated_lufs: float | None
    short_term_max_lufs: float | None
    momentary_max_lufs: float | None
    range_lu: float | None
    true_peak_dbtp: float | None
    replaygain_gain_db: float | None
    replaygain_peak: float

    def to_dict(self) -> dict[str, Any]:
        """Return the loudness as JSON, with numbers rounded."""
        return {
            "integrated_lufs": _rounded(self.integrated_lufs),
            "short_term_max_lufs": _rounded(self.short_term_max_lufs),
            "momentary_max_lufs": _rounded(self.momentary_max_lufs),
            "range_lu": _rounded(self.range_lu),
            "true_peak_dbtp": _rounded(self.true_peak_dbtp),
            "replaygain_gain_db": _rounded(self.replaygain_gain_db),
            "replaygain_peak": round(self.replaygain_peak, 6),
        }


class LoudnessListener:
    """Measures the loudness of a song that arrives in blocks of finite samples.

    `weights` are the weights of the file's channels' powers. Mono, (1,), counts as one
    channel, as in BS.1770, FFmpeg's ebur128, libebur128 and r128gain: it is 3 LU below
    the same sound in both channels, although the decoder duplicates it. Peaks include
    all channels, whatever their weights.

    Windows that extend past an end of the song don't count: there is no integrated
    loudness below 0.4 s, and no short-term loudness and no range below 3 s.
    """

    def __init__(self, sample_rate: int, weights: Sequence[float] = (1.0, 1.0)) -> None:
        self._sample_rate = sample_rate
        self._channels = len(weights)
        gains = np.sqrt(np.array(weights, np.float32))[:, None]
        self._gains = None if np.all(gains == 1) else gains
        self._filter = _k_weighting(sample_rate)
        self._state = np.zeros((len(self._filter), self._channels, 2))
        self._steps = StepSums(sample_rate, _STEPS_PER_SECOND)
        self._momentary = _Maximum(round(_MOMENTARY_SECONDS * _STEPS_PER_SECOND))
        self._short_term = _Maximum(round(_SHORT_TERM_SECONDS * _STEPS_PER_SECOND))
        self._hops = StepSums(sample_rate, _HOPS_PER_SECOND)
        self._hop_sums: list[Vector] = []
        self._peak = _TruePeak(sample_rate, self._channels)

    def add(self, block: Samples) -> None:
        """Take the next block (channels, n); mono may be duplicated."""
        for piece in pieces(block[: self._channels]):
            loud = piece if self._gains is None else piece * self._gains
            weighted, state = sosfilt(self._filter, loud, zi=self._state)
            self._state = np.where(np.abs(state) < _NOTHING, 0.0, state)
            powers = np.einsum("cn,cn->n", weighted, weighted)
            steps = self._steps.add(powers)
            self._momentary.add(steps)
            self._short_term.add(steps)
            self._hop_sums.append(self._hops.add(powers))
            self._peak.add(piece)

    def result(self) -> Loudness:
        """Return the loudness of all blocks so far."""
        integrated = _integrated_lufs(self._means(_MOMENTARY_SECONDS))
        momentary_samples = _MOMENTARY_SECONDS * self._sample_rate
        short_term_samples = _SHORT_TERM_SECONDS * self._sample_rate
        peak = self._peak.result()
        return Loudness(
            integrated_lufs=integrated,
            short_term_max_lufs=_lufs(self._short_term.largest / short_term_samples),
            momentary_max_lufs=_lufs(self._momentary.largest / momentary_samples),
            range_lu=_range_lu(self._means(_SHORT_TERM_SECONDS)),
            true_peak_dbtp=20 * float(np.log10(peak)) if peak > 0 else None,
            replaygain_gain_db=(
                None if integrated is None else _REPLAYGAIN_LUFS - integrated
            ),
            replaygain_peak=self._peak.sample_peak,
        )

    def _means(self, seconds: float) -> Vector:
        """Return the mean power of every window of `seconds`, one per hop (n)."""
        hops = np.concatenate([np.zeros(0), *self._hop_sums])
        length = round(seconds * _HOPS_PER_SECOND)
        if len(hops) < length:
            return np.zeros(0)
        sums: Vector = sliding_window_view(hops, length).sum(axis=1)
        return sums / (seconds * self._sample_rate)


class _Maximum:
    """The largest sum over a sliding window of `steps` steps."""

    def __init__(self, steps: int) -> None:
        self.largest = 0.0
        self._steps = steps
        self._latest = np.zeros(0)

    def add(self, sums: Vector) -> None:
        """Take the sums (n) of the next steps."""
        latest = np.concatenate([self._latest, sums])
        if len(latest) >= self._steps:
            windows = sliding_window_view(latest, self._steps).sum(axis=1)
            self.largest = max(self.largest, float(windows.max()))
        self._latest = latest[1 - self._steps :].copy()


class _TruePeak:
    """The largest absolute value of a stream (c, n), including between samples.

    BS.1770-5, annex 2: the stream is oversampled by an interpolation filter, here a
    Kaiser-windowed sinc. A row of samples is multiplied by a matrix that holds the
    filter once per sample, which is faster than filtering sample by sample.
    """

    def __init__(self, sample_rate: int, channels: int) -> None:
        self.sample_peak = 0.0
        self._between_peak = 0.0
        self._matrix = _interpolation(_oversampling(sample_rate))
        self._largest_gain = float(np.abs(self._matrix).sum(axis=0).max(initial=0.0))
        # Zeros before the song, later the samples of the incomplete row.
        self._held = np.zeros((channels, 2 * _HALF_TAPS - 1), np.float32)

    def add(self, piece: Samples) -> None:
        """Take the next samples (c, n)."""
        self.sample_peak = max(self.sample_peak, _peak(piece))
        if not self._matrix.size:
            return
        samples = np.concatenate([self._held, piece], axis=1)
        width = len(self._matrix)
        rows = (samples.shape[1] - width) // _ROW_SAMPLES + 1
        if rows > 0:
            self._between_peak = max(self._between_peak, self._between(samples))
            samples = samples[:, rows * _ROW_SAMPLES :]
        self._held = samples.copy()

    def result(self) -> float:
        """Return the true peak so far, as if silence followed."""
        if not self._matrix.size:
            return self.sample_peak
        samples = np.pad(self._held, ((0, 0), (0, len(self._matrix))))
        return max(self.sample_peak, self._between_peak, self._between(samples))

    def _between(self, samples: Samples) -> float:
        """Return the peak between samples (c, n), or 0 if it is no new maximum."""
        most = self._largest_gain * _peak(samples)
        if most <= max(self.sample_peak, self._between_peak):
            return 0.0
        width = len(self._matrix)
        windows = sliding_window_view(samples, width, axis=1)[:, ::_ROW_SAMPLES]
        return _peak(windows.reshape(-1, width) @ self._matrix)


def _k_weighting(sample_rate: int) -> Vector:
    """Return the K-weighting at a sample rate as sections (s, 6) for sosfilt."""
    return np.array(
        [
            section
            for table in (_SHELF, _HIGH_PASS)
            if (section := _at_rate(table, sample_rate)) is not None
        ]
    )


def _at_rate(table: tuple[float, ...], sample_rate: int) -> Vector | None:
    """Return a filter of 48 kHz at another rate, or None if its corner is too high.

    The bilinear transform is inverted, then applied again with the corner frequency, at
    the poles, preserved: at 48 kHz this gives the table's coefficients, at other rates
    the same response, as BS.1770-5 requires.
    """
    # Maps powers of 1/z to powers of p = (1 - 1/z) / (1 + 1/z), and back: the matrix
    # is 4 times its own inverse.
    exchange = np.array([[1.0, 1.0, 1.0], [2.0, 0.0, -2.0], [1.0, -1.0, 1.0]])
    zeros, poles = exchange @ table[:3], exchange @ table[3:]
    corner = np.sqrt(poles[0] / poles[2])
    corner_hz = np.arctan(corner) * _TABLES_HZ / np.pi
    if corner_hz >= sample_rate / 2:
        return None
    scale = (corner / np.tan(np.pi * corner_hz / sample_rate)) ** np.arange(3)
    zeros, poles = exchange @ (zeros * scale), exchange @ (poles * scale)
    section: Vector = np.concatenate([zeros, poles]) / poles[0]
    return section


def _oversampling(sample_rate: int) -> int:
    if sample_rate < _FOURFOLD_BELOW_HZ:
        return 4
    return 2 if sample_rate < _TWOFOLD_BELOW_HZ else 1


def _interpolation(factor: int) -> Samples:
    """Return the matrix (samples, values) from a row of samples to values between them.

    There are 0 values if the factor is 1.
    """
    taps = np.arange(1 - _HALF_TAPS, _HALF_TAPS + 1)
    distances = np.arange(1, factor)[:, None] / factor - taps
    inside = np.sqrt(1 - (distances / _HALF_TAPS) ** 2)
    filters = np.sinc(distances) * np.i0(_KAISER_BETA * inside)
    filters /= filters.sum(axis=1, keepdims=True)
    matrix = np.zeros((_ROW_SAMPLES + 2 * _HALF_TAPS - 1, _ROW_SAMPLES, factor - 1))
    for sample in range(_ROW_SAMPLES):
        matrix[sample : sample + 2 * _HALF_TAPS, sample] = filters.T
    return matrix.reshape(len(matrix), -1).astype(np.float32)


def _integrated_lufs(blocks: Vector) -> float | None:
    """Return the gated loudness of 400 ms blocks; BS.1770-5, equations 4 to 7."""
    loud = blocks[blocks > _power(_ABSOLUTE_GATE_LUFS)]
    if not len(loud):
        return None
    threshold = loud.mean() * 10 ** (_RELATIVE_GATE_LU / 10)
    return _lufs(float(loud[loud > threshold].mean()))


def _range_lu(windows: Vector) -> float | None:
    """Return the loudness range of 3 s windows; Tech 3342, sections 3 and 5."""
    loud = windows[windows >= _power(_ABSOLUTE_GATE_LUFS)]
    if not len(loud):
        return None
    loud = np.sort(loud[loud >= loud.mean() * 10 ** (_RANGE_GATE_LU / 10)])
    # The nearest rank without interpolation, as in Tech 3342.
    low, high = (
        loud[int((len(loud) - 1) * percent / 100 + 0.5)] for percent in _RANGE_PERCENTS
    )
    return float(10 * np.log10(high / low))


def _lufs(power: float) -> float | None:
    return _OFFSET_DECIBELS + 10 * float(np.log10(power)) if power > 0 else None


def _power(lufs: float) -> float:
    return float(10 ** ((lufs - _OFFSET_DECIBELS) / 10))


def _peak(samples: Samples) -> float:
    return max(float(samples.max()), -float(samples.min()))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
