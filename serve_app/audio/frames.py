"""Decode all frames of an audio stream, or raise an error."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import av
import numpy as np
from av import AudioFrame, AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from serve_app.audio import downmix, mpeg
from serve_app.audio.container_length import container_name
from serve_app.errors import UnreadableAudio

_EDIT_SLACK_SECONDS = Fraction(2, 1000)

# FFmpeg's names of the containers that state where in the last frame the audio ends.
_ENDED = ("mov", "ogg")

_MPEG_CODECS = ("mp1", "mp2", "mp3")

# The bytes before a FLAC frame's number, and the number's.
_FLAC_HEAD_BYTES = 4 + 7

DAMAGED = (
    "The audio is damaged and can't be decoded completely. Export or download the "
    "song again and send the new file, or recover the rest of it: "
    "ffmpeg -err_detect ignore_err -i song -vn repaired.flac"
)
CUT_SHORT = (
    "The file is cut short: its end is missing. Export or download the song again "
    "and send the whole file, or recover the rest of it: "
    "ffmpeg -i song -vn repaired.flac"
)


@dataclass(frozen=True)
class DecodedFrame:
    """A decoded frame of a song, and the file's own format at this point.

    `wave` is float32: stereo in the first two rows, then the file's own channels if it
    has more than two. `loudness_weights` are the channels' weights of BS.1770.
    """

    sample_rate: int
    loudness_weights: tuple[float, ...]
    wave: NDArray[np.float32]

    @property
    def channels(self) -> int:
        """The number of channels that the file has in this frame."""
        return len(self.loudness_weights)


def read(
    container: InputContainer,
    stream: AudioStream,
    codec: str,
    stated_seconds: Fraction | None,
) -> Iterator[DecodedFrame]:
    """Yield the decoded frames; UnreadableAudio if one is damaged or missing.

    `stated_seconds` is the length that the file states. In an mp4, an Ogg and a CAF
    with ALAC, the last frame is cut there.
    """
    name = container_name(container)
    try:
        if codec in _MPEG_CODECS:
            yield from map(_decoded, _mpeg_frames(container, stream))
        elif name == "flac":
            total = round((stated_seconds or 0) * stream.sample_rate)
            yield from map(_decoded, _numbered_frames(container, stream, total))
        elif stated_seconds is not None and (
            name in _ENDED or (name, codec) == ("caf", "alac")
        ):
            yield from _ended_frames(container, stream, stated_seconds)
        else:
            yield from map(_decoded, container.decode(stream))
    except (av.FFmpegError, ValueError) as err:
        raise UnreadableAudio(DAMAGED) from err


def _decoded(frame: AudioFrame) -> DecodedFrame:
    weights = downmix.loudness_weights(frame.layout)
    return DecodedFrame(frame.sample_rate, weights, downmix.with_channels(frame))


def _mpeg_frames(
    container: InputContainer, stream: AudioStream
) -> Iterator[AudioFrame]:
    """Yield MPEG frames; ignore undecodable bytes behind the last one, such as tags.

    FFmpeg decodes an incomplete last frame without an error, so its size is checked.
    """
    junk: av.FFmpegError | None = None
    is_whole = True
    for packet in container.demux(stream):
        header = mpeg.frame(bytes(memoryview(packet)[: mpeg.HEADER_BYTES]))
        try:
            decoded = packet.decode()
        except av.FFmpegError as err:
            if header is not None:
                raise
            junk = err
            continue
        if decoded and junk is not None:
            raise UnreadableAudio(DAMAGED) from junk
        if header is not None and header.size_bytes is not None:
            is_whole = packet.size >= header.size_bytes
        yield from decoded
    if not is_whole:
        raise UnreadableAudio(CUT_SHORT)


def _numbered_frames(
    container: InputContainer, stream: AudioStream, total_samples: int
) -> Iterator[AudioFrame]:
    """Yield a FLAC's frames; UnreadableAudio if any is missing.

    FFmpeg skips damaged frames silently, but they are numbered. If no number and no
    sample is missing, bytes that don't decode are junk, such as a tag.
    """
    # The checksum is the only check of frames that FFmpeg returns without a number.
    stream.codec_context.options = {"err_detect": "crccheck+explode"}
    expected: int | None = None
    junk: av.FFmpegError | None = None
    is_numbered = True
    left = total_samples
    for packet in container.demux(stream):
        try:
            decoded = packet.decode()
        except av.FFmpegError as err:
            junk = err
            continue
        packet_start = bytes(memoryview(packet)[:_FLAC_HEAD_BYTES])
        for frame in decoded:
            start = _start(frame, expected, packet_start)
            is_numbered = frame.pts is not None
            expected = start + frame.samples
            left -= frame.samples
            yield frame
    if left and (junk is not None or not is_numbered):
        raise UnreadableAudio(DAMAGED) from junk


def _start(frame: AudioFrame, expected: int | None, packet_start: bytes) -> int:
    """Return a FLAC frame's first sample; UnreadableAudio if earlier ones are lost."""
    # FFmpeg gives no number to frames that it merges with junk into one packet.
    start = expected if frame.pts is None else frame.pts
    if start is None or expected not in (None, start):
        raise UnreadableAudio(DAMAGED)
    is_later = expected is None and start > 0
    if is_later and not _begins_with(packet_start, start, frame.samples):
        raise UnreadableAudio(DAMAGED)
    return start


def _begins_with(head: bytes, sample: int, block_samples: int) -> bool:
    """Whether `head` is an intact header of a FLAC frame that starts at `sample`.

    RFC 9639, 9.1.5: a frame has its own number, or its first sample's if the block size
    varies, encoded like a code point in UTF-8.
    """
    number = sample if head[1:2] == b"\xf9" else sample // block_samples
    if number >= 1 << 16:
        return head.startswith(b"\xff")
    return head[4:].startswith(chr(number).encode("utf-8", "surrogatepass"))


def _ended_frames(
    container: InputContainer, stream: AudioStream, stated_seconds: Fraction
) -> Iterator[DecodedFrame]:
    """Yield the frames, cut at the stated end.

    FFmpeg returns the whole last frame of an mp4, and of an Ogg with one page.
    """
    held: DecodedFrame | None = None
    start, end = None, Fraction(0)
    position = 0
    for packet in container.demux(stream):
        if packet.pts is not None and packet.duration and packet.time_base:
            end = (packet.pts + packet.duration) * packet.time_base
        for frame in packet.decode():
            if start is None:
                start = (frame.pts or 0) * (frame.time_base or 0)
            if held is not None:
                position += held.wave.shape[1]
                yield held
            held = _decoded(frame)
    if held is None:
        return
    seconds = stated_seconds
    if container_name(container) == "mov":
        seconds = _edited_seconds(end - (start or 0), stated_seconds)
    # An end outside the last frame is wrong, and ignored.
    samples = round(seconds * held.sample_rate) - position
    yield replace(held, wave=held.wave[:, :samples]) if samples > 0 else held


def _edited_seconds(packets: Fraction, edit_list: Fraction) -> Fraction:
    """Return the end of an mp4's packets, or its edit list's end if clearly earlier.

    Edit lists count in units of about a millisecond; packets are exact to the sample.
    """
    return edit_list if packets - edit_list > _EDIT_SLACK_SECONDS else packets
