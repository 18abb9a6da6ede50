"""Check that the frames on both sides of a gap decode without errors."""

from collections.abc import Sequence
from typing import cast

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from numpy.typing import NDArray

from serve_app.audio.frame_syntax import Syntax

# Frames to decode. Layer III keeps a frame's data in up to BEFORE earlier frames.
BEFORE, AFTER = 100, 12


def are_intact(syntax: Syntax, before: Sequence[bytes], after: Sequence[bytes]) -> bool:
    """Whether the last frame before a gap and those after it decode without errors.

    A strict decoder mutes a frame if its codes don't end where the header says, or if
    its checksum is wrong; a lenient one guesses. Frames are intact if both decode to
    the same samples. This finds missing frames too: in layer III a frame's data begins
    in the frames before it, so it can't be decoded if those are missing.
    """
    frames = [*before, *after]
    codec = syntax.codec(frames[0])
    if not codec:
        return False
    lenient = _decoded(codec, frames, "ignore_err")
    first = max(0, len(before) - 1)
    return all(
        all(map(_are_alike, lenient[first:], _decoded(codec, frames, option)[first:]))
        for option in syntax.strictly
    )


def _decoded(
    codec: str, frames: Sequence[bytes], err_detect: str
) -> list[NDArray[np.generic] | None]:
    decoder = cast(AudioCodecContext, av.CodecContext.create(codec, "r"))
    decoder.options = {"err_detect": err_detect}
    return [_sound(decoder, frame) for frame in frames]


def _sound(decoder: AudioCodecContext, data: bytes) -> NDArray[np.generic] | None:
    try:
        frames = decoder.decode(av.Packet(data))
        return np.concatenate([frame.to_ndarray() for frame in frames], axis=1)
    except (av.FFmpegError, ValueError):
        return None


def _are_alike(
    one: NDArray[np.generic] | None, other: NDArray[np.generic] | None
) -> bool:
    return one is not None and other is not None and np.array_equal(one, other)
