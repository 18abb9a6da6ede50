"""Decode a stem from its middle on, with the samples of a decoding from its start.

A decoder of a lossy format combines a frame with what came before it. Measured with
FFmpeg 8.1, over all formats of stems: from 0.1 s after the first decoded frame on,
every sample is bit-identical. AAC with noise substitution is an exception: its random
numbers depend on everything before. Our encoder does not use it.
"""

from collections.abc import Generator, Iterator
from fractions import Fraction
from io import RawIOBase
from itertools import chain
from typing import Any, BinaryIO

import av
import numpy as np
from numpy.typing import NDArray

from serve_app.audio import downmix
from serve_app.audio.formats import StemFormat
from serve_app.errors import UnreadableAudio

Wave = NDArray[np.float32]

# FFmpeg's names of the containers of stems.
_CONTAINERS = {
    ".wav": "wav",
    ".flac": "flac",
    ".mp3": "mp3",
    ".m4a": "mov",
    ".opus": "ogg",
}
# Where decoding starts before the wanted sample: ten times what was measured.
_LEAD_SECONDS = 1
_LEAST_LEAD_SECONDS = Fraction(1, 8)


def read_from(
    file: BinaryIO | RawIOBase, format: StemFormat, start: int
) -> Generator[Wave]:
    """Yield a stem of ours from sample `start` on, as float32 (2, n) at its own rate.

    Only the neighbourhood of `start` and the index are read from `file`. Samples behind
    the end of the song, which encoders add, may follow. Raises UnreadableAudio.
    """
    try:
        with av.open(file, "r", _CONTAINERS[format.suffix]) as container:
            position, frames = _frames(container, start)
            for frame in frames:
                wave = downmix.with_channels(frame)[:2]
                if position + wave.shape[1] > start:
                    yield wave[:, max(0, start - position) :]
                position += wave.shape[1]
    except (av.FFmpegError, ValueError) as err:
        raise UnreadableAudio("A stored stem can't be decoded.") from err


def _frames(container: Any, start: int) -> tuple[int, Iterator[Any]]:
    """Return the frames from one well before `start` on, and its first sample."""
    stream = container.streams.audio[0]
    rate, unit = stream.codec_context.sample_rate, stream.time_base
    frames = container.decode(stream)
    first = _first(frames)
    wanted = start - _LEAD_SECONDS * rate
    if wanted <= 0:
        return 0, chain([first], frames)
    # Times count from before the samples that an encoder adds at the start.
    origin = first.pts
    container.seek(origin + int(Fraction(wanted, rate) / unit), stream=stream)
    frames = container.decode(stream)
    first = _first(frames)
    position = round((first.pts - origin) * unit * rate)
    if position > start - _LEAST_LEAD_SECONDS * rate:
        raise UnreadableAudio("A stored stem can't be read from its middle on.")
    return position, chain([first], frames)


def _first(frames: Iterator[Any]) -> Any:
    for frame in frames:
        return frame
    raise UnreadableAudio("A stored stem has no sound.")
