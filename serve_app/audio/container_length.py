"""How long the sound in a container is, by what the container states of it.

Only lengths that are written down count: those that FFmpeg estimates from a bit rate
do not.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import BinaryIO

from av import AudioStream
from av.container import InputContainer

from serve_app.audio import mpeg, ogg
from serve_app.audio.splice import read_at

# FFmpeg's names of the containers whose audio stream states its length.
_STATED = ("aiff", "au", "ape", "caf", "flac", "mov", "tta", "w64", "wv")

# Of these the stated length is that of the samples, to the sample.
_EXACT = ("aiff", "au", "flac", "tta", "w64", "wv")

_OPUS_RATE = 48_000

# ISO/IEC 14496-12 and QuickTime: what a file of boxes has outside of all others.
_BOXES = (
    *(b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"uuid", b"moof", b"mfra"),
    *(b"sidx", b"ssix", b"styp", b"meta", b"pdin", b"prft", b"emsg", b"pnot", b"udta"),
)


def container_name(container: InputContainer) -> str:
    """Return the first of FFmpeg's names for the container: `mov`, `matroska`, …"""
    return container.format.name.split(",")[0]


def stated_seconds(
    file: BinaryIO,
    container: InputContainer,
    stream: AudioStream,
    link: ogg.Link | None = None,
) -> Fraction | None:
    """Return the audio's length as the file states it, None where it does not.

    `link` is what is known of an Ogg.
    """
    name = container_name(container)
    if name == "mp3":
        samples = mpeg.samples_of(file)
        return None if samples is None else Fraction(samples, stream.sample_rate)
    if name == "matroska":
        return _matroska_seconds(container, stream)
    if link is not None:
        return _ogg_seconds(link, stream)
    if name not in _STATED or not stream.duration or stream.time_base is None:
        return None
    return stream.duration * stream.time_base


def is_exact(container: InputContainer) -> bool:
    """Whether the length that the container states is right to the sample."""
    return container_name(container) in _EXACT


def is_cut_short(file: BinaryIO, container: InputContainer) -> bool:
    """Whether the container's structure runs on past the end of the file."""
    check = _CHECKS.get(container_name(container))
    if check is None:
        return False
    size_bytes = file.seek(0, 2)
    file.seek(0)
    return check(file, size_bytes)


def _ogg_seconds(link: ogg.Link, stream: AudioStream) -> Fraction | None:
    """The last page says where the sound ends, and FFmpeg where it begins."""
    head = stream.codec_context.extradata or b""
    if stream.codec_context.name == "flac":
        return _flac_seconds(head, stream)
    end = link.last_granule(stream.index)
    if end <= 0 or stream.time_base is None:
        return None
    seconds = (end - (stream.start_time or 0)) * stream.time_base
    if head.startswith(b"OpusHead") and len(head) >= 12:
        # RFC 7845, 5.1: the samples at 48 kHz that a decoder drops at the start.
        seconds -= Fraction(int.from_bytes(head[10:12], "little"), _OPUS_RATE)
    return seconds if seconds > 0 else None


def _flac_seconds(facts: bytes, stream: AudioStream) -> Fraction | None:
    """RFC 9639, 8.2: the samples are 36 bits; 0 is unknown."""
    samples = int.from_bytes(facts[13:18], "big") & (1 << 36) - 1
    return Fraction(samples, stream.sample_rate) if samples else None


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


def _avi_is_cut(file: BinaryIO, size_bytes: int) -> bool:
    position = 12
    while position + 12 <= size_bytes:
        name, chunk_bytes, kind = _riff_chunk(file, position)
        if (name, kind) == (b"LIST", b"movi"):
            return position + 8 + chunk_bytes > size_bytes
        position += 8 + chunk_bytes + chunk_bytes % 2
    return False


def _riff_chunk(file: BinaryIO, position: int) -> tuple[bytes, int, bytes]:
    data = read_at(file, position, 12)
    return data[:4], int.from_bytes(data[4:8], "little"), data[8:]


def _boxes_are_cut(file: BinaryIO, size_bytes: int) -> bool:
    """ISO/IEC 14496-12, 4.2: boxes, one after another, each with its size."""
    position = 0
    while position + 8 <= size_bytes:
        file.seek(position)
        box_bytes = int.from_bytes(file.read(4), "big")
        name = file.read(4)
        if box_bytes == 1:
            box_bytes = int.from_bytes(file.read(8), "big")
        if box_bytes < 8 or name not in _BOXES:
            return False
        position += box_bytes
    return position > size_bytes


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
    "avi": _avi_is_cut,
    "matroska": _segment_is_cut,
    "mov": _boxes_are_cut,
}
