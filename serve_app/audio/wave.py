"""A stereo wav that is sent while its samples are computed."""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.audio.encode import as_integers

_CHANNELS = 2
_PCM, _IEEE_FLOAT = 1, 3
# Readers take this size as "to the end of the stream"; larger ones don't fit.
_LARGEST = 2**32 - 1


@dataclass(frozen=True)
class WavForm:
    """How samples are written: as 16-bit integers, or as floats, which never clip."""

    is_float: bool

    @property
    def frame_bytes(self) -> int:
        """The bytes of one sample of both channels."""
        return _CHANNELS * (4 if self.is_float else 2)

    @property
    def header_bytes(self) -> int:
        """The bytes before the samples."""
        return len(self.header(0, 1))

    def size_bytes(self, samples: int) -> int:
        """Return the size of a wav of `samples` samples a channel."""
        return self.header_bytes + samples * self.frame_bytes

    def header(self, samples: int, sample_rate: int) -> bytes:
        """Return what is before the samples of a wav of `samples` samples a channel.

        44 bytes: RIFF WAVE, the format chunk and the data chunk's header. 58 bytes for
        floats: the format's extension, which is empty, and the fact chunk (Multimedia
        Programming Interface and Data Specifications 1.0, IBM and Microsoft 1991; New
        Multimedia Data Types and Data Techniques, Microsoft 1994).
        """
        frame = self.frame_bytes
        code = _IEEE_FLOAT if self.is_float else _PCM
        form = struct.pack(
            *("<HHIIHH", code, _CHANNELS, sample_rate, sample_rate * frame, frame),
            8 * frame // _CHANNELS,
        )
        fact = b""
        if self.is_float:
            form += struct.pack("<H", 0)
            fact = struct.pack("<4sII", b"fact", 4, min(samples, _LARGEST))
        head = b"WAVE" + struct.pack("<4sI", b"fmt ", len(form)) + form + fact
        # RIFF's size counts what follows it: `head`, and the data chunk with its own 8.
        data_bytes = min(samples * frame, _LARGEST - len(head) - 8)
        riff = struct.pack("<4sI", b"RIFF", len(head) + 8 + data_bytes)
        return riff + head + struct.pack("<4sI", b"data", data_bytes)

    def data(self, block: NDArray[np.float32]) -> bytes:
        """Return a block (2, samples) as bytes; integers clip over full scale."""
        if self.is_float:
            return block.T.astype("<f4").tobytes()
        return as_integers(block, 16).T.astype("<i2").tobytes()


PCM16, FLOAT32 = WavForm(is_float=False), WavForm(is_float=True)
