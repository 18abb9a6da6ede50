"""A wav that is sent while its samples are computed."""

import struct

import numpy as np
from numpy.typing import NDArray

from serve_app.audio.encode import as_integers

_CHANNELS, _BYTES = 2, 2
_PCM = 1
FRAME_BYTES = _CHANNELS * _BYTES
HEADER_BYTES = 44
# Readers take this size as "to the end of the stream"; larger ones don't fit.
_LARGEST = 2**32 - 1


def size_bytes(samples: int) -> int:
    """Return the size of a 16-bit stereo wav of `samples` samples a channel."""
    return HEADER_BYTES + samples * FRAME_BYTES


def header(samples: int, sample_rate: int) -> bytes:
    """Return the header of a 16-bit stereo wav of `samples` samples a channel.

    44 bytes: RIFF WAVE, the format chunk and the data chunk's header (Multimedia
    Programming Interface and Data Specifications 1.0, IBM and Microsoft 1991).
    """
    data_bytes = min(samples * FRAME_BYTES, _LARGEST - 36)
    form = struct.pack(
        *("<4sIHHIIHH", b"fmt ", 16, _PCM, _CHANNELS, sample_rate),
        *(sample_rate * FRAME_BYTES, FRAME_BYTES, 8 * _BYTES),
    )
    riff = struct.pack("<4sI4s", b"RIFF", 36 + data_bytes, b"WAVE")
    return riff + form + struct.pack("<4sI", b"data", data_bytes)


def data(block: NDArray[np.float32]) -> bytes:
    """Return a block (2, samples) as the wav's bytes; values over full scale clip."""
    return as_integers(block, 16).T.astype("<i2").tobytes()
