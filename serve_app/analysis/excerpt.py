"""The part of a song that is listened to: mono, at one rate, of bounded length."""

from collections.abc import Iterable

import numpy as np
import soxr
from numpy.typing import NDArray

Samples = NDArray[np.float32]

SAMPLE_RATE = 22_050
EXCERPT_SECONDS = 180


def excerpt(blocks: Iterable[Samples], sample_rate: int) -> Samples:
    """Return the first 180 s of the blocks (2, n) as mono samples at 22,050 Hz.

    Blocks past that are not asked for, so memory and time do not grow with the song.
    """
    resampler = soxr.ResampleStream(sample_rate, SAMPLE_RATE, 1, dtype="float32")
    wanted = EXCERPT_SECONDS * SAMPLE_RATE
    pieces: list[Samples] = []
    found = 0
    for block in blocks:
        piece = resampler.resample_chunk(block.mean(axis=0, dtype=np.float32))
        pieces.append(piece)
        found += len(piece)
        if found >= wanted:
            break
    else:
        pieces.append(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
    return np.concatenate(pieces)[:wanted]
