"""The part of a song that is listened to: mono, at one rate, of bounded length."""

from collections.abc import Iterable

import numpy as np
import soxr
from numpy.typing import NDArray

from serve_app.analysis.mono import mono

Samples = NDArray[np.float32]

SAMPLE_RATE = 22_050
EXCERPT_SECONDS = 180


def excerpt(blocks: Iterable[Samples], sample_rate: int) -> Samples:
    """Return the first 180 s of the blocks (2, n) as mono samples at 22,050 Hz.

    They are half the sum of the channels, or the left one where those cancel each
    other; see `mono`. Blocks past that are not asked for, so memory and time do not
    grow with the song.
    """
    mid, side = _Channel(sample_rate), _Channel(sample_rate)
    wanted = EXCERPT_SECONDS * SAMPLE_RATE
    for block in blocks:
        mid.add(block.mean(axis=0, dtype=np.float32))
        side.add((block[0] - block[1]) * np.float32(0.5))
        if mid.samples >= wanted:
            break
    else:
        mid.end()
        side.end()
    return mono(mid.taken(wanted), side.taken(wanted))


class _Channel:
    """A channel on its way to 22,050 Hz."""

    def __init__(self, sample_rate: int) -> None:
        self._resampler = soxr.ResampleStream(
            sample_rate, SAMPLE_RATE, 1, dtype="float32"
        )
        self._pieces: list[Samples] = []
        self.samples = 0

    def add(self, block: Samples, is_last: bool = False) -> None:
        """Append a block (n)."""
        piece = self._resampler.resample_chunk(block, last=is_last)
        self._pieces.append(piece)
        self.samples += len(piece)

    def end(self) -> None:
        """Append what the resampler still holds."""
        self.add(np.zeros(0, np.float32), is_last=True)

    def taken(self, samples: int) -> Samples:
        """Return at most so many samples from the beginning."""
        return np.concatenate(self._pieces)[:samples]
