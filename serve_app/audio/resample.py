"""Another sample rate for a stream of blocks, and its exact length."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

# 24 bits of precision and a flat passband: finer than any format a song comes in.
_QUALITY = "VHQ"


class Resampler:
    """Changes the rate of blocks (..., samples) as they come, with no delay.

    Sample 0 stays at time 0, and n samples become round(n * to_hz / from_hz), but
    never none.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._rates = (from_hz, to_hz)
        self._stream: Any = None
        self._first: NDArray[np.float32] | None = None
        self._is_empty = True

    def push(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take a block; return what is ready, which may be no samples."""
        if self._first is None:
            self._first = block[..., :1].copy()
            channels = self._first.size
            self._stream = soxr.ResampleStream(
                *self._rates, channels, dtype="float32", quality=_QUALITY
            )
        return self._chunk(block, last=False)

    def finish(self) -> NDArray[np.float32] | None:
        """Return the rest; None if nothing was ever pushed."""
        if self._first is None:
            return None
        rest = self._chunk(self._first[..., :0], last=True)
        return self._first if self._is_empty else rest

    def _chunk(self, block: NDArray[np.float32], last: bool) -> NDArray[np.float32]:
        shape = block.shape[:-1]
        channels = int(np.prod(shape))
        rows = np.ascontiguousarray(block.reshape(channels, -1).T, dtype=np.float32)
        out = self._stream.resample_chunk(rows, last=last)
        self._is_empty &= len(out) == 0
        return np.ascontiguousarray(out.T).reshape(*shape, -1)


def resampled(
    blocks: Iterable[NDArray[np.float32]], from_hz: int, to_hz: int
) -> Iterator[NDArray[np.float32]]:
    """Yield blocks (..., samples) at `to_hz`; at the same rate they pass untouched.

    Sample 0 stays at time 0, and n samples become round(n * to_hz / from_hz), but
    never none.
    """
    if from_hz == to_hz:
        yield from blocks
        return
    resampler = Resampler(from_hz, to_hz)
    for block in blocks:
        ready = resampler.push(block)
        if ready.shape[-1]:
            yield ready
    rest = resampler.finish()
    if rest is not None and rest.shape[-1]:
        yield rest


def exactly(
    blocks: Iterable[NDArray[np.float32]], samples: int
) -> Iterator[NDArray[np.float32]]:
    """Yield blocks (..., n) that are `samples` long in all: the end is cut or silent.

    Reads all of `blocks`, so that what they come from is finished too. Raises
    ValueError when there is no block at all, for then there is no shape to fill.
    """
    missing = samples
    shape: tuple[int, ...] | None = None
    width = 1
    for block in blocks:
        shape, width = block.shape[:-1], max(width, block.shape[-1])
        if missing > 0:
            yield block[..., :missing]
        missing -= block.shape[-1]
    if shape is None:
        raise ValueError("there are no blocks to bring to length")
    # Padded in blocks no wider than those that came: memory stays what it was.
    while missing > 0:
        yield np.zeros((*shape, min(missing, width)), dtype=np.float32)
        missing -= width
