"""A wav that is sent while it is made."""

import struct

import numpy as np
from numpy.typing import NDArray

from serve_app.audio.encode import as_integers

_CHANNELS, _BYTES = 2, 2
_PCM = 1
# What readers take for "to the end of the stream" where the size has no room.
_LARGEST = 2**32 - 1


def header(samples: int, sample_rate: int) -> bytes:
    """Return what a stereo wav of 16 bits and so many samples begins with.

    RIFF WAVE with its format and the head of its data, 44 bytes (Multimedia Programming
    Interface and Data Specifications 1.0, IBM and Microsoft 1991).
    """
    data_bytes = min(samples * _CHANNELS * _BYTES, _LARGEST - 36)
    frame_bytes = _CHANNELS * _BYTES
    form = struct.pack(
        *("<4sIHHIIHH", b"fmt ", 16, _PCM, _CHANNELS, sample_rate),
        *(sample_rate * frame_bytes, frame_bytes, 8 * _BYTES),
    )
    riff = struct.pack("<4sI4s", b"RIFF", 36 + data_bytes, b"WAVE")
    return riff + form + struct.pack("<4sI", b"data", data_bytes)


def data(block: NDArray[np.float32]) -> bytes:
    """Return a block (2, samples) as the wav has it; what is over full scale clips."""
    return as_integers(block, 16).T.astype("<i2").tobytes()
