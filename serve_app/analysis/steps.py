"""A stream of samples in pieces of bounded length, and its sums over equal steps."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Vector = NDArray[np.float64]

# What is done at a time of a longer block: it fits into the processor's cache.
_PIECE_SAMPLES = 32_768


def pieces(block: Samples) -> Iterator[Samples]:
    """Yield a block (c, n) in pieces of at most 32,768 samples, none of them empty."""
    for start in range(0, block.shape[1], _PIECE_SAMPLES):
        yield block[:, start : start + _PIECE_SAMPLES]


class StepSums:
    """Sums a stream of values, one a sample, over so many steps a second.

    Where a step is no whole number of samples, some steps are a sample longer.
    """

    def __init__(self, sample_rate: int, steps_per_second: int) -> None:
        self.count = 0
        # The values that make up no whole step yet (n).
        self.rest: Vector = np.zeros(0)
        self._sample_rate = sample_rate
        self._steps_per_second = steps_per_second

    def add(self, values: Vector) -> Vector:
        """Take the next values (n), and return the sums (m) of the steps they end."""
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
        """Return the samples with which the steps from first to last - 1 begin."""
        return np.arange(first, last) * self._sample_rate // self._steps_per_second
