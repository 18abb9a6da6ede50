"""What a file's container promises of its contents, so that a cut file is noticed.

Only lengths that are written down count: those that FFmpeg estimates from a bit rate
do not.
"""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Literal

from av import AudioStream
from av.container import InputContainer

from serve_app.audio import mpeg

# FFmpeg's names of the containers whose audio stream states its length.
_STATED = ("aiff", "au", "ape", "caf", "flac", "mov", "ogg", "tta", "w64", "wv")

# Of these the stated length is that of the samples, to the sample.
_EXACT = ("aiff", "au", "flac", "tta", "w64", "wv")

_OPUS_RATE = 48_000

# RIFF sizes from here up are what streaming writers leave in place of the unknown.
_UNKNOWN_RIFF_BYTES = 0x7FFF_F000

# Some writers count the header into the size of the data.
_RIFF_SLACK_BYTES = 44

# An Ogg page is at most 27 + 255 + 255 * 255 bytes: two of them hold a whole one.
_OGG_TAIL_BYTES = 2 * 65_307
_OGG_END_OF_STREAM = 0x04


def container_name(container: InputContainer) -> str:
    """Return the first of FFmpeg's names for the container: `mov`, `matroska`, …"""
    return container.format.name.split(",")[0]


def stated_seconds(
    path: Path, container: InputContainer, stream: AudioStream
) -> Fraction | None:
    """Return the audio's length as the file states it, None where it does not."""
    name = container_name(container)
    if name == "mp3":
        samples = mpeg.stated_samples(path)
        return None if samples is None else Fraction(samples, stream.sample_rate)
    if name == "matroska":
        return _matroska_seconds(container, stream)
    if name not in _STATED or not stream.duration or stream.time_base is None:
        return None
    return stream.duration * stream.time_base - _pre_skip_seconds(name, stream)


def is_exact(container: InputContainer) -> bool:
    """Whether the length that the container states is right to the sample."""
    return container_name(container) in _EXACT


def is_cut_short(path: Path, container: InputContainer) -> bool:
    """Whether the container's structure runs on past the end of the file."""
    check = _CHECKS.get(container_name(container))
    if check is None:
        return False
    with path.open("rb") as file:
        return check(file, path.stat().st_size)


def _pre_skip_seconds(name: str, stream: AudioStream) -> Fraction:
    head = stream.codec_context.extradata or b""
    if name != "ogg" or not head.startswith(b"OpusHead") or len(head) < 12:
        return Fraction(0)
    # RFC 7845, 5.1: the samples at 48 kHz that a decoder drops at the start.
    return Fraction(int.from_bytes(head[10:12], "little"), _OPUS_RATE)


def _matroska_seconds(
    container: InputContainer, stream: AudioStream
) -> Fraction | None:
    start = Fraction(0)
    if stream.start_time and stream.time_base is not None:
        start = stream.start_time * stream.time_base
    try:
        hours, minutes, seconds = stream.metadata["DURATION"].split(":")
        end = int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)
    except (KeyError, ValueError, ZeroDivisionError):
        # The segment's own length is that of its longest track.
        if container.duration is None or len(container.streams) > 1:
            return None
        end = Fraction(container.duration, 1_000_000)
    return end - max(start, Fraction(0))


def _riff_is_cut(file: BinaryIO, size_bytes: int) -> bool:
    big = file.read(4) in (b"FORM", b"RIFX")
    order: Literal["big", "little"] = "big" if big else "little"
    position, data_bytes = 12, None
    while position + 8 <= size_bytes:
        file.seek(position)
        name = file.read(4)
        chunk_bytes = int.from_bytes(file.read(4), order)
        if name == b"ds64":  # EBU 3306: the sizes that 32 bits can't hold
            data_bytes = int.from_bytes(file.read(16)[8:], "little")
        if name in (b"data", b"SSND") or (name, file.read(4)) == (b"LIST", b"movi"):
            if data_bytes is None and chunk_bytes >= _UNKNOWN_RIFF_BYTES:
                return False
            end = position + 8 + (data_bytes or chunk_bytes)
            return end > size_bytes + _RIFF_SLACK_BYTES
        position += 8 + chunk_bytes + chunk_bytes % 2
    return False


def _boxes_are_cut(file: BinaryIO, size_bytes: int) -> bool:
    """ISO/IEC 14496-12, 4.2: boxes, one after another, each with its size."""
    position = 0
    while position + 8 <= size_bytes:
        file.seek(position)
        box_bytes = int.from_bytes(file.read(4), "big")
        name = file.read(4)
        if box_bytes == 1:
            box_bytes = int.from_bytes(file.read(8), "big")
        if box_bytes < 8 or not name.isascii():
            return False
        position += box_bytes
    return position > size_bytes


def _ogg_is_cut(file: BinaryIO, size_bytes: int) -> bool:
    """RFC 3533, 6: the last page of a stream says so, and the last page of all too."""
    file.seek(max(0, size_bytes - _OGG_TAIL_BYTES))
    tail = file.read()
    start = tail.rfind(b"OggS")
    header = tail[start : start + 27]
    if start < 0 or len(header) < 27 or not header[5] & _OGG_END_OF_STREAM:
        return True
    table = tail[start + 27 : start + 27 + header[26]]
    return len(table) < header[26] or start + 27 + len(table) + sum(table) > len(tail)


def _segment_is_cut(file: BinaryIO, size_bytes: int) -> bool:
    """RFC 8794, 6.2: an EBML header, then a segment, each with its size."""
    _, header_bytes = _ebml_element(file)
    if header_bytes is None:
        return False
    file.seek(header_bytes, 1)
    name, segment_bytes = _ebml_element(file)
    if name != b"\x18\x53\x80\x67" or segment_bytes is None:
        return False
    return file.tell() + segment_bytes > size_bytes


def _ebml_element(file: BinaryIO) -> tuple[bytes, int | None]:
    name = file.read(4)
    first = file.read(1)
    if not first or first == b"\0":
        return name, None
    length = 9 - first[0].bit_length()
    value = int.from_bytes(first + file.read(length - 1), "big")
    unknown = (1 << 7 * length) - 1
    value &= unknown
    return name, None if value == unknown else value


_CHECKS: dict[str, Callable[[BinaryIO, int], bool]] = {
    "aiff": _riff_is_cut,
    "avi": _riff_is_cut,
    "matroska": _segment_is_cut,
    "mov": _boxes_are_cut,
    "ogg": _ogg_is_cut,
    "wav": _riff_is_cut,
}
