"""Detect windows with channels out of phase, and invert the right channel."""

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

# Power of the channels' difference over that of their sum: 10 dB. That means a
# correlation under -0.82, which no mix has that is meant to be heard in mono.
_OUT_OF_PHASE = 10.0


def is_out_of_phase(window: Samples) -> bool:
    """Whether the channels of a window (2, n) almost cancel each other.

    Windows are judged one by one, because the phase can change inside a song. At a
    border between two results both are valid: they have the same sum and level.
    """
    left, right = window
    # Not `left @ right`: BLAS would use all cores, which the network needs.
    power = float(np.einsum("i,i", left, left) + np.einsum("i,i", right, right))
    product = 2 * float(np.einsum("i,i", left, right))
    return power - product > _OUT_OF_PHASE * max(power + product, 0.0)


def invert_right(samples: Samples) -> None:
    """Invert the right channel of samples (..., 2, n) in place."""
    np.negative(samples[..., 1, :], out=samples[..., 1, :])
