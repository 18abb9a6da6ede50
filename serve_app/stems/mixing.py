"""Which of a model's sources each stem is the sum of."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from serve_app.stems.request import ACCOMPANIMENT, VOCALS

Samples = NDArray[np.float32]
# For each stem the places of its sources in the model.
Parts = tuple[tuple[int, ...], ...]


def stem_parts(sources: Sequence[str], stems: Sequence[str]) -> Parts:
    """Return, for each wanted stem, which of a model's sources it is the sum of.

    A source is itself; `accompaniment` is the sum of all sources but the vocals.
    """
    return tuple(
        tuple(
            index
            for index, source in enumerate(sources)
            if (source != VOCALS if stem == ACCOMPANIMENT else source == stem)
        )
        for stem in stems
    )


def mixed(block: Samples, parts: Parts) -> Samples:
    """Return the stems (stem, 2, n) that are these sums of sources (source, 2, n)."""
    if parts == tuple((index,) for index in range(len(block))):
        return block
    # Not a product of matrices: BLAS would wake all cores, which the network needs.
    return np.stack([block[list(part)].sum(axis=0) for part in parts])
