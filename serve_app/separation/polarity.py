"""Windows whose channels are out of phase, turned as networks know music."""

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

# How much more power the difference of the channels has than their sum. It is 10 dB:
# the correlation is under -0.82, where no mix is that is meant to be heard in mono.
_OUT_OF_PHASE = 10.0


def is_out_of_phase(window: Samples) -> bool:
    """Whether the channels of a window (2, n) all but cancel each other.

    It is decided window by window, since a song can change its phase. At the border
    either way is a separation: both give the same sum, at the same level.
    """
    left, right = window
    # Not `left @ right`: BLAS would wake all cores, which the network needs.
    power = float(np.einsum("i,i", left, left) + np.einsum("i,i", right, right))
    product = 2 * float(np.einsum("i,i", left, right))
    return power - product > _OUT_OF_PHASE * max(power + product, 0.0)


def invert_right(samples: Samples) -> None:
    """Turn the right channel of samples (..., 2, n) over, in their own memory."""
    np.negative(samples[..., 1, :], out=samples[..., 1, :])
