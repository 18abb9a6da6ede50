"""Normalise a song for the network, and restore the level of its stems."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Offsets = NDArray[np.float64]

# Demucs's guard against a division by the zero deviation of silence.
_EPSILON = 1e-8
# 0.19 s, from which the network's division of an offset is measured; see `_shares`.
_BEGINNING_SAMPLES = 8192
# 46 ms; a window's first block is shorter only if the song is.
_FADE_SAMPLES = 2048


@dataclass(frozen=True)
class Level:
    """A song's normalisation: its channels' means and its standard deviation.

    `mean` is the mono mix's, and `side_mean` half the difference of the left channel's
    mean and the right one's.
    """

    mean: float
    deviation: float
    side_mean: float = 0.0

    def __post_init__(self) -> None:
        if not all(map(isfinite, (self.mean, self.deviation, self.side_mean))):
            raise ValueError(
                f"mean, deviation and side_mean must be finite, got {self}"
            )
        if self.deviation < 0:
            raise ValueError(f"deviation must be at least 0, got {self.deviation}")

    @property
    def means(self) -> Offsets:
        """The means of the left and the right channel, (2,)."""
        return np.array([self.mean + self.side_mean, self.mean - self.side_mean])

    @property
    def scale(self) -> float:
        """The divisor of the mix, and the factor of its stems."""
        return float(self.deviation) + _EPSILON


def normalised(blocks: Iterable[Samples], level: Level) -> Iterator[Samples]:
    """Yield blocks (2, n) of a mix with means of 0 and a deviation of 1.

    Demucs subtracts the mono mix's mean from both channels. Here each channel's own is
    subtracted: no network has learnt which stem an offset of one channel belongs to.
    """
    means = level.means.astype(np.float32)[:, None]
    for block in blocks:
        yield (block - means) / level.scale


def restored(blocks: Iterable[Samples], level: Level) -> Iterator[Samples]:
    """Yield a network's blocks (source, 2, n) at the song's level, changed in place.

    The song's means are added once to the sum of the sources; Demucs adds them to each.
    """
    shares: Offsets | None = None
    for block in blocks:
        block *= level.scale
        if shares is None:
            beginning = block[..., :_BEGINNING_SAMPLES].mean(axis=-1, dtype=np.float64)
            shares = _shares(beginning, level.means)
            start = _shares(block[..., 0].astype(np.float64), level.means)
            _fade_out(start - shares, block[..., :_FADE_SAMPLES])
        block += shares.astype(np.float32)[..., None]
        yield block


def _shares(levels: Offsets, means: Offsets) -> Offsets:
    """Divide means (2,) among sources, given each one's mean at the start (source, 2).

    If a song starts in silence, subtracting its means makes a step, which the network
    has divided among the sources arbitrarily. Each source gets its part of it back, so
    that all start silent. Otherwise the shares are about equal: if the sources differ
    because of the music, the shares are bounded as if one source got all.
    """
    sources = len(levels)
    apart = levels - levels.mean(axis=0)
    bounds = np.abs(means) * (1 - 1 / sources)
    most = np.maximum(np.abs(apart).max(axis=0), np.finfo(np.float64).tiny)
    shares: Offsets = means / sources - apart * np.minimum(bounds / most, 1.0)
    return shares


def _fade_out(offsets: Offsets, block: Samples) -> None:
    """Add offsets (source, 2) that fade out over a block (source, 2, n).

    A network's first samples have another offset than those that follow. The fade turns
    that step, an audible pop, into a swing too slow to be heard.
    """
    turn = np.arange(block.shape[-1], dtype=np.float32) * (np.pi / _FADE_SAMPLES)
    block += offsets.astype(np.float32)[..., None] * (0.5 + 0.5 * np.cos(turn))
