"""Pieces of bounded length of a stream of samples, and sums over equal steps."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Vector = NDArray[np.float64]

# Longer blocks are processed in pieces of this length, which fit into the CPU cache.
_PIECE_SAMPLES = 32_768


def pieces(block: Samples) -> Iterator[Samples]:
    """Yield a block (c, n) in pieces of at most 32,768 samples, none of them empty."""
    for start in range(0, block.shape[1], _PIECE_SAMPLES):
        yield block[:, start : start + _PIECE_SAMPLES]


class StepSums:
    """Sum a stream of values, one per sample, over `steps_per_second` equal steps.

    Where a step is not a whole number of samples, some steps are one sample longer.
    """

    def __init__(self, sample_rate: int, steps_per_second: int) -> None:
        self.count = 0
        # Values of the step that is not complete yet (n).
        self.rest: Vector = np.zeros(0)
        self._sample_rate = sample_rate
        self._steps_per_second = steps_per_second

    def add(self, values: Vector) -> Vector:
        """Take the next values (n); return the sums (m) of the steps they complete."""
        values = np.concatenate([self.rest, values])
        start = self._edges(self.count, self.count + 1)[0]
        end = start + len(values)
        count = ((end + 1) * self._steps_per_second - 1) // self._sample_rate
        edges = self._edges(self.count, count + 1) - start
        self.rest = values[edges[-1] :].copy()
        self.count = int(count)
        if len(edges) == 1:
            return np.zeros(0)
        return np.add.reduceat(values[: edges[-1]], edges[:-1])

    def _edges(self, first: int, last: int) -> NDArray[np.int64]:
        """Return the first sample of each of the steps from first to last - 1."""
        return np.arange(first, last) * self._sample_rate // self._steps_per_second
