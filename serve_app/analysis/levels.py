"""Levels of a song: silence, clipping, DC, mono compatibility, peak, RMS and energy."""

from dataclasses import asdict, dataclass
from math import log10, sqrt
from typing import Any

import numpy as np

from serve_app.analysis.steps import Samples, StepSums, Vector, pieces

# Steps of 10 ms below this RMS count as silence at the ends of a song.
SILENCE_DBFS = -60.0
_STEPS_PER_SECOND = 100

# The largest sample of a 16-bit file. Clipping there stays visible in finer formats.
_FULL_SCALE = np.float32(1 - 2**-15)
# Music that only touches full scale has runs of one or two samples there.
_CLIPPED_SAMPLES = 3
_FIRST_PLACES = 10

# The loss of channels that cancel completely, so that the loss is always finite.
_LARGEST_LOSS_DB = 100.0


@dataclass(frozen=True)
class Levels:
    """The levels of a song in dB relative to full scale, None for silence.

    For more than two channels, the levels of the stereo mix.

    - `silence_start_seconds`, `silence_end_seconds`: how long the song is below -60
      dBFS (RMS over 10 ms) at its start and end; its whole length if it never exceeds
      that.
    - `peak_dbfs`: the largest sample; above 0 if float samples exceed full scale.
    - `rms_dbfs`: the RMS of both channels; -3.01 for a full-scale sine.
    - `crest_db`: the ratio of peak to RMS.
    - `clipping_count`: the number of runs of at least three samples at or above full
      scale, in either channel; `clipped_samples` counts their samples,
      `clipping_seconds` are the times of the first ten.
    - `dc_offset`: the means of the left and the right channel; full scale is 1.
    - `correlation`: of the two channels, -1 to 1; None if either is silent.
    - `mono_loss_db`: the power lost by mixing to mono: 0 for equal channels, 3 for
      unrelated ones, at most 100.
    - `side_share`: the share of the power in the channels' difference, 0 to 1.
    - `energy_dbfs`: the RMS of each second.
    """

    silence_start_seconds: float
    silence_end_seconds: float
    peak_dbfs: float | None
    rms_dbfs: float | None
    crest_db: float | None
    clipping_count: int
    clipped_samples: int
    clipping_seconds: tuple[float, ...]
    dc_offset: tuple[float, float]
    correlation: float | None
    mono_loss_db: float | None
    side_share: float | None
    energy_dbfs: tuple[float | None, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the levels as JSON, with numbers rounded."""
        return {
            name: _rounded(value, _DIGITS.get(name, 2))
            for name, value in asdict(self).items()
        }


_DIGITS = {
    "clipping_seconds": 3,
    "dc_offset": 6,
    "correlation": 3,
    "side_share": 4,
    "energy_dbfs": 1,
}


class LevelsListener:
    """Measures the levels of a song that arrives in blocks (2, n) of finite samples."""

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._samples = 0
        self._sums = np.zeros(2)
        # Left * left, left * right; right * left, right * right.
        self._products = np.zeros((2, 2))
        self._peak = 0.0
        self._clipping = _Clipping(sample_rate)
        self._silence = _Silence(sample_rate)
        self._seconds = StepSums(sample_rate, 1)
        self._energy: list[float] = []

    def add(self, block: Samples) -> None:
        """Take the next block (2, n)."""
        for piece in pieces(block):
            self._peak = max(self._peak, float(np.abs(piece).max()))
            self._clipping.add(piece)
            wide = piece.astype(np.float64)
            self._samples += wide.shape[1]
            self._sums += wide.sum(axis=1)
            self._products += wide @ wide.T
            powers = np.einsum("cn,cn->n", wide, wide) / 2
            self._silence.add(powers)
            self._energy.extend(self._seconds.add(powers))

    def result(self) -> Levels:
        """Return the levels of all blocks so far."""
        samples = max(self._samples, 1)
        (left, both), (_, right) = self._products / samples
        power = (left + right) / 2
        start, end = self._silence.result()
        offset_left, offset_right = (self._sums / samples).tolist()
        peak, rms = _decibels(self._peak**2), _decibels(power)
        # Equal channels can differ in the last bit.
        side = max(left + right - 2 * both, 0.0) / 4
        mid = max(left + right + 2 * both, 0.0) / 4
        return Levels(
            silence_start_seconds=start,
            silence_end_seconds=end,
            peak_dbfs=peak,
            rms_dbfs=rms,
            crest_db=None if peak is None or rms is None else peak - rms,
            clipping_count=self._clipping.count,
            clipped_samples=self._clipping.samples,
            clipping_seconds=tuple(self._clipping.seconds),
            dc_offset=(offset_left, offset_right),
            correlation=(
                float(np.clip(both / sqrt(left * right), -1.0, 1.0))
                if left * right > 0
                else None
            ),
            mono_loss_db=_loss(mid, power) if power > 0 else None,
            side_share=float(side / power) if power > 0 else None,
            energy_dbfs=tuple(self._energies()),
        )

    def _energies(self) -> list[float | None]:
        """Return the RMS of each second; the last one may be shorter."""
        sums = [_decibels(energy / self._sample_rate) for energy in self._energy]
        rest = self._seconds.rest
        return [*sums, _decibels(float(rest.mean()))] if len(rest) else sums


class _Silence:
    """Measures how long a stream of powers is quiet at its start and at its end."""

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._steps = StepSums(sample_rate, _STEPS_PER_SECOND)
        self._first: int | None = None
        self._last = 0

    def add(self, powers: Vector) -> None:
        """Take the powers (n) of the next samples."""
        done = self._steps.count
        sums = self._steps.add(powers)
        threshold = 10 ** (SILENCE_DBFS / 10) * self._sample_rate / _STEPS_PER_SECOND
        loud = np.flatnonzero(sums > threshold)
        if len(loud):
            self._last = done + int(loud[-1])
            if self._first is None:
                self._first = done + int(loud[0])

    def result(self) -> tuple[float, float]:
        """Return the quiet seconds at both ends; the whole length if all is quiet."""
        rest = self._steps.rest
        first, last = self._first, self._last
        if len(rest) and rest.mean() > 10 ** (SILENCE_DBFS / 10):
            last = self._steps.count
            first = last if first is None else first
        whole = self._steps.count * self._sample_rate // _STEPS_PER_SECOND
        length = (whole + len(rest)) / self._sample_rate
        if first is None:
            return length, length
        end = length - (last + 1) / _STEPS_PER_SECOND
        return first / _STEPS_PER_SECOND, max(end, 0.0)


class _Clipping:
    """Counts runs of at least three samples at full scale or above, in any channel."""

    def __init__(self, sample_rate: int) -> None:
        self.count = self.samples = 0
        self.seconds: list[float] = []
        self._sample_rate = sample_rate
        self._position = 0
        # Whether each of the last three samples is at full scale.
        self._before = np.zeros((2, _CLIPPED_SAMPLES), np.bool_)

    def add(self, piece: Samples) -> None:
        """Take the next samples (2, n)."""
        full = np.concatenate([self._before, np.abs(piece) >= _FULL_SCALE], axis=1)
        if full.any():
            run = full[:, 3:] & full[:, 2:-1] & full[:, 1:-2]
            third = run & ~full[:, :-3]
            starts = np.flatnonzero(third.any(axis=0)) - 2 + self._position
            self.count += int(third.sum())
            self.samples += int(run.sum()) + 2 * int(third.sum())
            room = _FIRST_PLACES - len(self.seconds)
            self.seconds.extend((starts[:room] / self._sample_rate).tolist())
        self._before = full[:, -_CLIPPED_SAMPLES:]
        self._position += piece.shape[1]


def _loss(mid: float, power: float) -> float:
    """Return how many dB the mono sum is below the channels, at most 100."""
    return min(-10 * log10(mid / power), _LARGEST_LOSS_DB) if mid else _LARGEST_LOSS_DB


def _decibels(power: float) -> float | None:
    return 10 * log10(power) if power > 0 else None


def _rounded(value: Any, digits: int) -> Any:
    if isinstance(value, tuple):
        return [_rounded(item, digits) for item in value]
    # Adding 0.0 turns -0.0 into 0.0.
    return round(value, digits) + 0.0 if isinstance(value, float) else value
