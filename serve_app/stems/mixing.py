"""Stems as sums of a model's sources."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from serve_app.stems.request import ACCOMPANIMENT, VOCALS

Samples = NDArray[np.float32]
# For each stem, the indices of its sources in the model.
Sums = tuple[tuple[int, ...], ...]


def stem_sources(sources: Sequence[str], stems: Sequence[str]) -> Sums:
    """Return, for each stem, the indices of the sources that it is the sum of.

    `accompaniment` is the sum of all sources but the vocals; any other stem is the
    source of that name.
    """
    return tuple(
        tuple(
            index
            for index, source in enumerate(sources)
            if (source != VOCALS if stem == ACCOMPANIMENT else source == stem)
        )
        for stem in stems
    )


def mixed(block: Samples, sums: Sums) -> Samples:
    """Return the stems (stem, 2, n) as sums of the sources (source, 2, n)."""
    if sums == tuple((index,) for index in range(len(block))):
        return block
    # No matrix product: BLAS would take all cores, which the network needs.
    return np.stack([block[list(indices)].sum(axis=0) for indices in sums])
