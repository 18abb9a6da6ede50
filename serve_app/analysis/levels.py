"""Levels of a song: silence, clipping, DC, mono compatibility, peak, RMS and energy."""

from dataclasses import asdict, dataclass
from math import log10, sqrt
from typing import Any

import numpy as np

from serve_app.analysis.steps import Samples, StepSums, Vector, pieces

# What is quieter over a step of 10 ms counts as silence at the ends of a song.
SILENCE_DBFS = -60.0
_STEPS_PER_SECOND = 100

# The largest sample of a 16-bit file: what is clipped there, and in all finer ones.
_FULL_SCALE = np.float32(1 - 2**-15)
# One or two samples at full scale are also had by music that only touches it.
_CLIPPED_SAMPLES = 3
_FIRST_PLACES = 10

# What cancels itself in mono loses this much, so that the loss is always a number.
_LARGEST_LOSS_DB = 100.0


@dataclass(frozen=True)
class Levels:
    """The levels of a song in dB over full scale; None where there is only silence.

    Of more than two channels they are those of the stereo mix.

    - `silence_start_seconds`, `silence_end_seconds`: what is below -60 dBFS (RMS over
      10 ms) at either end; all of a song that is nowhere louder.
    - `peak_dbfs`: over 0 by how much a song of floats is over full scale.
    - `rms_dbfs`: that of both channels; a sine as high as full scale has -3.01.
    - `crest_db`: the peak over the RMS.
    - `clipping_count`: runs of at least three samples at full scale or over it, in
      either channel; `clipped_samples` are theirs, `clipping_seconds` the first ten.
    - `dc_offset`: the mean of the left channel and of the right, full scale being 1.
    - `correlation`: of the channels, from -1 to 1; also None where one is silent.
    - `mono_loss_db`: how much quieter than the channels half their sum is: 0 for equal
      ones, 3 for ones that have nothing in common, at most 100.
    - `side_share`: the part of the power that is in the channels' difference, 0 to 1.
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
        """Return the levels as clients read them, rounded to what is meaningful."""
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
    """Measures the levels of a song that comes as blocks (2, n) of finite samples."""

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._samples = 0
        self._sums = np.zeros(2)
        # Of left by left, left by right and right by right.
        self._products = np.zeros((2, 2))
        self._peak = 0.0
        self._clipping = _Clipping(sample_rate)
        self._silence = _Silence(sample_rate)
        self._seconds = StepSums(sample_rate, 1)
        self._energy: list[float] = []

    def add(self, block: Samples) -> None:
        """Take the next block (2, n) into account."""
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

    def found(self) -> Levels:
        """Return the levels of the blocks until now."""
        samples = max(self._samples, 1)
        (left, both), (_, right) = self._products / samples
        power = (left + right) / 2
        start, end = self._silence.found()
        offset_left, offset_right = (self._sums / samples).tolist()
        peak, rms = _decibels(self._peak**2), _decibels(power)
        # The channels of a song of equal ones can differ in the last bit.
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
        """Return the RMS of each second, the last one as long as it is."""
        sums = [_decibels(energy / self._sample_rate) for energy in self._energy]
        rest = self._seconds.rest
        return [*sums, _decibels(float(rest.mean()))] if len(rest) else sums


class _Silence:
    """How long a stream of powers is quiet from its beginning, and to its end."""

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._steps = StepSums(sample_rate, _STEPS_PER_SECOND)
        self._first: int | None = None
        self._last = 0

    def add(self, powers: Vector) -> None:
        """Take the powers (n) of the next samples into account."""
        done = self._steps.count
        sums = self._steps.add(powers)
        threshold = 10 ** (SILENCE_DBFS / 10) * self._sample_rate / _STEPS_PER_SECOND
        loud = np.flatnonzero(sums > threshold)
        if len(loud):
            self._last = done + int(loud[-1])
            if self._first is None:
                self._first = done + int(loud[0])

    def found(self) -> tuple[float, float]:
        """Return the seconds at both ends, each the whole length if all is quiet."""
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
    """Runs of at least three samples at full scale or over it, in either channel."""

    def __init__(self, sample_rate: int) -> None:
        self.count = self.samples = 0
        self.seconds: list[float] = []
        self._sample_rate = sample_rate
        self._position = 0
        # Whether each of the last three samples is at full scale.
        self._before = np.zeros((2, _CLIPPED_SAMPLES), np.bool_)

    def add(self, piece: Samples) -> None:
        """Take the next samples (2, n) into account."""
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
    """Return by how many dB the mono sum is below the channels, at most 100."""
    return min(-10 * log10(mid / power), _LARGEST_LOSS_DB) if mid else _LARGEST_LOSS_DB


def _decibels(power: float) -> float | None:
    return 10 * log10(power) if power > 0 else None


def _rounded(value: Any, digits: int) -> Any:
    if isinstance(value, tuple):
        return [_rounded(item, digits) for item in value]
    # Never -0.0.
    return round(value, digits) + 0.0 if isinstance(value, float) else value
