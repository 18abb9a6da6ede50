"""MPEG audio frames, and the tag frame that counts them.

ISO/IEC 11172-3, 2.4.1.3 and 13818-3; tags of Xing, LAME and Fraunhofer (VBRI).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from serve_app.audio import tags
from serve_app.audio.splice import read_at

HEADER_BYTES = 4

# Enough first bytes of a frame to recognise a tag.
PROBE_BYTES = 40

# The first frame is searched for in so many bytes behind the ID3 tags.
_SEARCH_BYTES = 65_536

_KILOBITS = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES_HZ = (44_100, 48_000, 32_000)

_FRAMES_FLAG = 0x01
# The tag's optional fields in order: flag and size.
_OPTIONAL_FIELDS = ((_FRAMES_FLAG, 4), (0x02, 4), (0x04, 100), (0x08, 4))
_TAG_NAMES = (b"Xing", b"Info")
_TAG_ENCODERS = (b"LAME", b"Lavf", b"Lavc")
# In the tag's LAME section: the samples added at both ends, 12 bits each, and the
# checksum of all bytes of the frame before it.
_PADDING_OFFSET, _PADDING_BITS, _PADDING_MASK = 21, 12, 0xFFF
_CHECK_OFFSET = 34
_ENCODER_NAME_BYTES = 9
# A tag frame's fields, LAME's section included, are within so many bytes.
_TAG_FRAME_BYTES = 512


@dataclass(frozen=True)
class Frame:
    """A frame's header. `size_bytes` is None for a free bit rate."""

    size_bytes: int | None
    samples: int
    side_info_bytes: int
    sample_rate: int
    layer: int


@dataclass(frozen=True)
class InfoTag:
    """The tag in an mp3's first frame, which has no audio.

    `encoder` is the name in the tag (`LAME3.100`), or empty. `frames` counts the frames
    that follow, each of `frame_samples`; `delay` and `padding` are the samples that the
    encoder states to have added at the ends. `is_check_valid`: LAME's checksum of the
    tag is correct.
    """

    encoder: str
    frames: int
    frame_samples: int
    sample_rate: int
    delay: int
    padding: int
    is_check_valid: bool


@dataclass(frozen=True)
class _Tag:
    """A tag's fields; `*_start` are positions of its frame and of LAME's section."""

    frame_start: int
    coded_samples: int
    encoder_start: int | None = None
    delay: int = 0
    padding: int = 0

    @property
    def samples(self) -> int:
        return self.coded_samples - self.delay - self.padding


def frame(header: bytes) -> Frame | None:
    """Read a frame's header; None if the first four bytes are not one."""
    if len(header) < HEADER_BYTES or header[0] != 0xFF or header[1] < 0xE0:
        return None
    version_code, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    rate_code, bit_rate_code = header[2] >> 2 & 3, header[2] >> 4
    if version_code == 1 or layer == 4 or rate_code == 3 or bit_rate_code == 15:
        return None
    version = 1 if version_code == 3 else 2
    # Version code 0 is MPEG-2.5, with a quarter of MPEG-1's rates.
    rate = _RATES_HZ[rate_code] // {3: 1, 2: 2, 0: 4}[version_code]
    samples = 384 if layer == 1 else 576 if (version, layer) == (2, 3) else 1152
    mono = header[3] >> 6 == 3
    side_info = (17 if mono else 32) if version == 1 else (9 if mono else 17)
    if bit_rate_code == 0:
        return Frame(None, samples, side_info, rate, layer)
    bits = _KILOBITS[version, layer][bit_rate_code - 1] * 1000
    # Layer I counts in slots of four bytes.
    slot = 4 if layer == 1 else 1
    slots = samples // 8 // slot * bits // rate + (header[2] >> 1 & 1)
    return Frame(slots * slot, samples, side_info, rate, layer)


def kind(head: bytes) -> bytes:
    """Return the header bits that all frames of a stream share: version, layer, rate.

    They are empty if `head` is not a frame's header.
    """
    if frame(head) is None:
        return b""
    return bytes([head[1] & 0x1E, head[2] & 0x0C])


def is_tag_frame(head: bytes) -> bool:
    """Whether the frame with this header is a tag, and so the first of an mp3."""
    header = frame(head)
    if header is None:
        return False
    start = HEADER_BYTES + header.side_info_bytes
    return head[start : start + 4] in _TAG_NAMES or head[36:40] == b"VBRI"


def stated_samples(path: Path) -> int | None:
    """Return the number of samples that an mp3's tag states; None without a tag."""
    with path.open("rb") as file:
        return samples_of(file)


def samples_of(file: BinaryIO) -> int | None:
    """Return the same as `stated_samples`, for an open file."""
    tag = _find_tag(file)
    return None if tag is None or tag.samples < 1 else tag.samples


def stated_frames(tag_frame: bytes) -> int | None:
    """Return the number of frames that a tag frame states, or None."""
    first = frame(tag_frame)
    tag = None if first is None else _read_tag(tag_frame, first, 0)
    return None if tag is None or first is None else tag.coded_samples // first.samples


def info_tag(path: Path) -> InfoTag | None:
    """Return the tag in an mp3's first frame; None without one."""
    with path.open("rb") as file:
        tag = _find_tag(file)
        if tag is None:
            return None
        data = read_at(file, tag.frame_start, _TAG_FRAME_BYTES)
    first = frame(data[:HEADER_BYTES])
    if first is None:  # The file has changed since _find_tag read it.
        return None
    name, is_check_valid = b"", False
    if tag.encoder_start is not None:
        start = tag.encoder_start - tag.frame_start
        name = data[start : start + _ENCODER_NAME_BYTES]
        check = data[start + _CHECK_OFFSET : start + _CHECK_OFFSET + 2]
        is_check_valid = check == _crc16(data[: start + _CHECK_OFFSET]).to_bytes(2)
    return InfoTag(
        encoder=name.partition(b"\0")[0].decode("ascii", "replace").strip(),
        frames=tag.coded_samples // first.samples,
        frame_samples=first.samples,
        sample_rate=first.sample_rate,
        delay=tag.delay,
        padding=tag.padding,
        is_check_valid=is_check_valid,
    )


def state_samples(path: Path, samples: int) -> None:
    """Correct the tag of an mp3 written by FFmpeg to state `samples`.

    FFmpeg counts only the padding of the last frame. If the encoder's delay moves the
    song's end out of the frame before it, that frame is padded too.
    """
    with path.open("rb") as written:
        tag = _find_tag(written)
    if tag is None or tag.encoder_start is None or tag.samples == samples:
        return
    padding = tag.padding + tag.samples - samples
    if not 0 <= padding <= _PADDING_MASK:
        raise ValueError(
            f"an mp3's padding must be 0 to {_PADDING_MASK} samples, got {padding}"
        )
    field = tag.delay << _PADDING_BITS | padding
    checked = tag.encoder_start + _CHECK_OFFSET
    with path.open("r+b") as file:
        file.seek(tag.encoder_start + _PADDING_OFFSET)
        file.write(field.to_bytes(3, "big"))
        file.seek(tag.frame_start)
        check = _crc16(file.read(checked - tag.frame_start))
        # A file needs a seek between a read and a write.
        file.seek(checked)
        file.write(check.to_bytes(2, "big"))


def _find_tag(file: BinaryIO) -> _Tag | None:
    start = tags.end_of_tags(file, 0)
    data = read_at(file, start, _SEARCH_BYTES)
    position = 0
    while (position := data.find(b"\xff", position)) >= 0:
        first = frame(data[position : position + HEADER_BYTES])
        # Two headers at the right distance are not a coincidence.
        if first is not None and _is_followed(data, position, first):
            return _read_tag(data[position:], first, start + position)
        position += 1
    return None


def _is_followed(data: bytes, position: int, first: Frame) -> bool:
    if first.size_bytes is None:
        return True
    following = position + first.size_bytes
    return frame(data[following : following + HEADER_BYTES]) is not None


def _read_tag(data: bytes, first: Frame, frame_start: int) -> _Tag | None:
    fraunhofer = HEADER_BYTES + 32
    if data[fraunhofer : fraunhofer + 4] == b"VBRI":
        count = int.from_bytes(data[fraunhofer + 14 : fraunhofer + 18], "big")
        return _Tag(frame_start, count * first.samples)
    start = HEADER_BYTES + first.side_info_bytes
    flags = int.from_bytes(data[start + 4 : start + 8], "big")
    if data[start : start + 4] not in _TAG_NAMES or not flags & _FRAMES_FLAG:
        return None
    coded = int.from_bytes(data[start + 8 : start + 12], "big") * first.samples
    encoder = start + 8 + sum(size for flag, size in _OPTIONAL_FIELDS if flags & flag)
    if data[encoder : encoder + 4] not in _TAG_ENCODERS:
        return _Tag(frame_start, coded)
    field_start = encoder + _PADDING_OFFSET
    field = int.from_bytes(data[field_start : field_start + 3], "big")
    return _Tag(
        *(frame_start, coded, frame_start + encoder),
        delay=field >> _PADDING_BITS,
        padding=field & _PADDING_MASK,
    )


def _crc16(data: bytes) -> int:
    """CRC-16/ARC: the polynomial 0x8005, reflected."""
    check = 0
    for byte in data:
        check ^= byte
        for _ in range(8):
            check = check >> 1 ^ (0xA001 if check & 1 else 0)
    return check
