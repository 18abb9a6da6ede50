"""The length of the audio in a container, as the container states it.

Only lengths stored in the file count, not those that FFmpeg estimates from a bit rate.
"""

from fractions import Fraction
from typing import BinaryIO

from av import AudioStream
from av.container import InputContainer

from serve_app.audio import caf, mpeg, ogg

# FFmpeg's names of the containers that state their audio stream's length.
_STATED = (
    *("aiff", "au", "ape", "caf", "flac", "mov", "mxf", "tta", "w64"),
    "wv",
)

# Their stated length is exact to the sample.
_EXACT = ("aiff", "au", "flac", "tta", "w64", "wv")

_OPUS_RATE = 48_000


def container_name(container: InputContainer) -> str:
    """Return the first of FFmpeg's names for the container: `mov`, `matroska`, …"""
    return container.format.name.split(",")[0]


def stated_seconds(
    file: BinaryIO,
    container: InputContainer,
    stream: AudioStream,
    link: ogg.Link | None = None,
) -> Fraction | None:
    """Return the audio's length as the file states it, or None.

    `link` is the link of an Ogg file that is read; None for other files.
    """
    name = container_name(container)
    if name == "mp3":
        samples = mpeg.samples_of(file)
        return None if samples is None else Fraction(samples, stream.sample_rate)
    if name == "caf" and (samples := caf.alac_samples(file)) is not None:
        return Fraction(samples, stream.sample_rate) if samples > 0 else None
    if name == "matroska":
        return _matroska_seconds(container, stream)
    if link is not None:
        return _ogg_seconds(link, stream)
    if name not in _STATED or not stream.duration or stream.time_base is None:
        return None
    seconds = stream.duration * stream.time_base
    if name == "flac" and (stream.start_time or 0) > 0:
        # Frames are numbered: those before the first one in the file don't count.
        seconds -= (stream.start_time or 0) * stream.time_base
    return seconds


def is_exact(container: InputContainer) -> bool:
    """Whether the length that the container states is exact to the sample."""
    return container_name(container) in _EXACT


def _ogg_seconds(link: ogg.Link, stream: AudioStream) -> Fraction | None:
    """Return the length from the last page's position and FFmpeg's start time."""
    head = stream.codec_context.extradata or b""
    if stream.codec_context.name == "flac":
        return _flac_seconds(head, stream)
    end = link.last_granule(stream.index)
    if end <= 0 or stream.time_base is None:
        return None
    seconds = (end - (stream.start_time or 0)) * stream.time_base
    if head.startswith(b"OpusHead") and len(head) >= 12:
        # RFC 7845, 5.1, pre-skip: samples at 48 kHz that a decoder drops at the start.
        seconds -= Fraction(int.from_bytes(head[10:12], "little"), _OPUS_RATE)
    return seconds if seconds > 0 else None


def _flac_seconds(facts: bytes, stream: AudioStream) -> Fraction | None:
    """Return the length in STREAMINFO (RFC 9639, 8.2: 36 bits; 0 means unknown)."""
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
        # The segment's length is its longest track's, so it counts for a single one.
        if container.duration is None or len(container.streams) > 1:
            return None
        end = Fraction(container.duration, 1_000_000)
    return end - max(start, Fraction(0))
