"""Whether the frames on both sides of a seam are as they were encoded."""

from collections.abc import Sequence
from typing import cast

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from numpy.typing import NDArray

from serve_app.audio.frame_syntax import Syntax

# A frame of layer III may hold its sound in up to so many frames before it.
BEFORE, AFTER = 100, 12


def are_intact(syntax: Syntax, before: Sequence[bytes], after: Sequence[bytes]) -> bool:
    """Whether the last frame before a seam and those after it decode without a fault.

    A decoder that is told to be strict is silent where the codes of a frame don't end
    where the frame says, or its checksum is wrong; a lenient one makes a guess. What
    both hear alike is intact. So a hole is heard too: in layer III a frame's sound
    begins in the frames before it, and is not found where those are gone.
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
