"""How two signals lie to each other."""

from math import inf, log10

import numpy as np
from numpy.typing import NDArray

Wave = NDArray[np.float32]


def offset_samples(late: Wave, early: Wave) -> int:
    """Return by how many samples `late` trails `early`, by cross-correlation.

    Both are (samples,) or (channels, samples); of several channels the first counts.
    """
    late, early = np.atleast_2d(late)[0], np.atleast_2d(early)[0]
    size = 1 << (len(late) + len(early)).bit_length()
    product = np.fft.rfft(late, size) * np.conj(np.fft.rfft(early, size))
    best = int(np.argmax(np.fft.irfft(product, size)))
    return best if best < size // 2 else best - size


def snr_db(truth: Wave, other: Wave) -> float:
    """Return how far below `truth` the error of `other` lies."""
    error = float(np.mean(np.square(truth.astype(np.float64) - other)))
    power = float(np.mean(np.square(truth.astype(np.float64))))
    return inf if error == 0 else 10 * log10(power / error)
