"""The level at which a network hears a song, and the way back to the song's own."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Offsets = NDArray[np.float64]

# Demucs's guard against the division by the deviation of silence.
_EPSILON = 1e-8
# 0.19 s of a song tell how the network divides an offset; see `_shares`.
_BEGINNING_SAMPLES = 8192
# 46 ms; no window's first block is shorter, but that of a shorter song.
_FADE_SAMPLES = 2048


@dataclass(frozen=True)
class Level:
    """What a song is normalised with: the means of its channels, and its deviation.

    `mean` is the mono mix's, and `side_mean` half of what the left channel's mean is
    over the right one's.
    """

    mean: float
    deviation: float
    side_mean: float = 0.0

    def __post_init__(self) -> None:
        if not all(map(isfinite, (self.mean, self.deviation, self.side_mean))):
            raise ValueError("mean, deviation and side_mean must be finite")
        if self.deviation < 0:
            raise ValueError("deviation must not be negative")

    @property
    def means(self) -> Offsets:
        """The means of the left and the right channel, (2,)."""
        return np.array([self.mean + self.side_mean, self.mean - self.side_mean])

    @property
    def scale(self) -> float:
        """What the mix is divided by and its stems are multiplied with."""
        return float(self.deviation) + _EPSILON


def normalised(blocks: Iterable[Samples], level: Level) -> Iterator[Samples]:
    """Yield blocks (2, n) of a mix with means of 0 and a deviation of 1.

    Demucs takes the mono mix's mean from both channels. Here each loses its own: no
    network has learnt which stem an offset of one channel belongs to.
    """
    means = level.means.astype(np.float32)[:, None]
    for block in blocks:
        yield (block - means) / level.scale


def restored(blocks: Iterable[Samples], level: Level) -> Iterator[Samples]:
    """Yield a network's blocks (source, 2, n) at the song's level, in their own memory.

    The sources' sum gets the song's means back once; Demucs adds them to each source.
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
    """Share means (2,) out among sources that lie at these levels (source, 2).

    To a song that starts in silence its means are a step, which the network has divided
    among the sources as it likes: what each got of it, it gets back, so that all are
    silent. To others the shares are about equal: where it is music that sets the
    sources apart, none is farther from that than if one source got all.
    """
    sources = len(levels)
    apart = levels - levels.mean(axis=0)
    bounds = np.abs(means) * (1 - 1 / sources)
    most = np.maximum(np.abs(apart).max(axis=0), np.finfo(np.float64).tiny)
    shares: Offsets = means / sources - apart * np.minimum(bounds / most, 1.0)
    return shares


def _fade_out(offsets: Offsets, block: Samples) -> None:
    """Add offsets (source, 2) to a block's first sample, and less and less to others.

    A network's first samples lie off those that follow: what would be a pop is a swing
    too slow to be heard.
    """
    turn = np.arange(block.shape[-1], dtype=np.float32) * (np.pi / _FADE_SAMPLES)
    block += offsets.astype(np.float32)[..., None] * (0.5 + 0.5 * np.cos(turn))
