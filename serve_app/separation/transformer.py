"""Hybrid Transformer Demucs, from the package `demucs` (an extra).

Rouard, Massa, Défossez 2023, "Hybrid Transformers for Music Source Separation".
"""

from collections.abc import Sequence
from fractions import Fraction

from demucs.htdemucs import HTDemucs
from torch.nn import Module

# The length it was trained on, to which it pads windows: 7.8 s.
SEGMENT_SECONDS = Fraction(39, 5)


def htdemucs(sources: Sequence[str]) -> Module:
    """Create the network for the weights published as `htdemucs` (955717e8)."""
    network: Module = HTDemucs(
        list(sources),
        depth=4,
        dconv_mode=3,
        bottom_channels=512,
        t_layers=5,
        t_dropout=0.02,
        segment=SEGMENT_SECONDS,
    )
    return network
