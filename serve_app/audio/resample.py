"""Resample a stream of blocks to an exact length."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

# 24 bits of precision and a flat passband: better than any input format.
_QUALITY = "VHQ"


def resampled_samples(samples: int, from_hz: int, to_hz: int) -> int:
    """Return the length of `samples` at another rate: at least 1, or 0 for none."""
    return samples and max(1, round(samples * to_hz / from_hz))


class Resampler:
    """Resamples blocks (..., samples) one by one, without a shift in time.

    Sample 0 stays at time 0, and the total length is `resampled_samples`.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._rates = (from_hz, to_hz)
        self._stream: Any = None
        self._last: NDArray[np.float32] | None = None
        self._samples_in = self._samples_out = 0

    def push(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Resample a block; return the samples that are ready, possibly none."""
        if self._stream is None:
            channels = int(np.prod(block.shape[:-1]))
            self._stream = soxr.ResampleStream(
                *self._rates, channels, dtype="float32", quality=_QUALITY
            )
        if block.shape[-1]:
            self._last = block[..., -1:].copy()
        self._samples_in += block.shape[-1]
        out = self._chunk(block, last=False)
        self._samples_out += out.shape[-1]
        return out

    def finish(self) -> NDArray[np.float32] | None:
        """Return the remaining samples; None if none were pushed."""
        if self._last is None:
            return None
        rest = self._chunk(self._last[..., :0], last=True)
        total = resampled_samples(self._samples_in, *self._rates)
        missing = max(0, total - self._samples_out)
        # soxr may round a half down, and very short input to no samples.
        while rest.shape[-1] < missing:
            rest = np.concatenate([rest, self._last], axis=-1)
        return rest[..., :missing]

    def _chunk(self, block: NDArray[np.float32], last: bool) -> NDArray[np.float32]:
        shape = block.shape[:-1]
        rows = np.ascontiguousarray(
            block.reshape(int(np.prod(shape)), block.shape[-1]).T, dtype=np.float32
        )
        out = self._stream.resample_chunk(rows, last=last)
        return np.ascontiguousarray(out.T).reshape(*shape, -1)


def resampled(
    blocks: Iterable[NDArray[np.float32]], from_hz: int, to_hz: int
) -> Iterator[NDArray[np.float32]]:
    """Yield blocks (..., samples) at `to_hz`; at an equal rate they are unchanged.

    Sample 0 stays at time 0, and the total length is `resampled_samples`.
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
    """Yield blocks (..., n), cut or padded with silence to `samples` in all.

    All of `blocks` is read, so that its source is finished too. Raises ValueError if
    there are no blocks, because then the shape is unknown.
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
        raise ValueError(f"can't pad to {samples} samples: there are no blocks")
    # Padded in blocks no wider than the input's, to bound memory.
    while missing > 0:
        yield np.zeros((*shape, min(missing, width)), dtype=np.float32)
        missing -= width
