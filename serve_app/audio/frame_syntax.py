"""Kinds of files of bare frames: how to recognise and decode their frames."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from serve_app.audio import frame_sizes, mpeg
from serve_app.audio.frame_sizes import Measure


@dataclass(frozen=True)
class Syntax:
    """The syntax of one kind of frames.

    `start` matches the first bytes of every frame, and few other bytes. `strictly` are
    values of the decoder's option `err_detect`: with each of them FFmpeg rejects some
    broken frames.
    `format` is FFmpeg's name of the kind; None if FFmpeg detects it.
    """

    measure: Measure
    start: re.Pattern[bytes]
    codec: Callable[[bytes], str]
    seconds: Callable[[bytes], float | None]
    strictly: tuple[str, ...] = ("crccheck+bitstream+buffer+explode",)
    format: str | None = None


def _mpeg_codec(head: bytes) -> str:
    frame = mpeg.frame(head)
    return "mp3" if frame is None else f"mp{frame.layer}"


def _mpeg_seconds(head: bytes) -> float | None:
    frame = mpeg.frame(head)
    return None if frame is None else frame.samples / frame.sample_rate


def _ac3_codec(head: bytes) -> str:
    return "eac3" if head[5] >> 3 > 10 else "ac3"


MPEG = Syntax(
    frame_sizes.mpeg_bytes,
    re.compile(rb"\xff(?=[\xe2-\xff][\x10-\xef])", re.DOTALL),
    _mpeg_codec,
    _mpeg_seconds,
    # No `crccheck`: encoders often write wrong checksums of single frames.
    ("bitstream+buffer", "bitstream+buffer+aggressive"),
    "mp3",
)
SYNTAXES = (
    MPEG,
    Syntax(
        frame_sizes.adts_bytes,
        re.compile(rb"\xff(?=[\xf0\xf1\xf8\xf9])"),
        lambda _: "aac",
        frame_sizes.adts_seconds,
        format="aac",
    ),
    Syntax(
        frame_sizes.ac3_bytes,
        re.compile(rb"\x0b(?=\x77)"),
        _ac3_codec,
        frame_sizes.ac3_seconds,
    ),
    Syntax(
        frame_sizes.wavpack_bytes,
        re.compile(rb"w(?=vpk)"),
        lambda _: "wavpack",
        lambda _: None,
    ),
)
# Access units of MLP and TrueHD start with their size: no pattern can find them.
MLP = Syntax(frame_sizes.mlp_bytes, re.compile(rb"(?!)"), lambda _: "", lambda _: None)
