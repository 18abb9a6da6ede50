"""Size and duration of a frame, read from its header, in files of bare frames."""

from collections.abc import Callable

from serve_app.audio import mpeg

# Enough for every header here, and to see whether an MPEG frame is its file's tag.
HEAD_BYTES = mpeg.PROBE_BYTES

# Returns the frame's size in bytes; None if the bytes are not a frame's header.
Measure = Callable[[bytes], int | None]

_ADTS_HEADER_BYTES = 7

# ISO/IEC 14496-3, table 1.18: sample rates by their four-bit code.
_ADTS_HERTZ = (
    *(96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000),
    *(12_000, 11_025, 8_000, 7_350),
)
_ADTS_SAMPLES = 1024

# ATSC A/52, table 5.18: kilobits a second, and the rates in Hz.
_AC3_KILOBITS = (
    *(32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512),
    *(576, 640),
)
_AC3_HERTZ = (48_000, 44_100, 32_000)
_AC3_SAMPLES = 1536


def mpeg_bytes(head: bytes) -> int | None:
    """Return an MPEG frame's size (ISO/IEC 11172-3, 13818-3); None for free format."""
    frame = mpeg.frame(head)
    return None if frame is None else frame.size_bytes


def adts_bytes(head: bytes) -> int | None:
    """Return an ADTS (AAC) frame's size (ISO/IEC 13818-7, 6.2)."""
    if len(head) < _ADTS_HEADER_BYTES or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return None
    size_bytes = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return size_bytes if size_bytes >= _ADTS_HEADER_BYTES else None


def ac3_bytes(head: bytes) -> int | None:
    """Return the size of an AC-3 or E-AC-3 frame (ATSC A/52, 5.3 and E.1.2)."""
    if len(head) < 6 or head[:2] != b"\x0b\x77":
        return None
    if head[5] >> 3 > 10:
        return 2 * (((head[2] & 7) << 8 | head[3]) + 1)
    rate, size = head[4] >> 6, head[4] & 63
    if rate == 3 or size >> 1 >= len(_AC3_KILOBITS):
        return None
    bits = _AC3_KILOBITS[size >> 1] * 1000 * _AC3_SAMPLES // _AC3_HERTZ[rate]
    # At 44.1 kHz every other size code has one more 16-bit word.
    return 2 * (bits // 16 + (size & 1 if rate == 1 else 0))


def mlp_bytes(head: bytes) -> int | None:
    """Return the size of an MLP or TrueHD access unit, stored in 16-bit words."""
    return 2 * (int.from_bytes(head[:2], "big") & 0xFFF) or None


def wavpack_bytes(head: bytes) -> int | None:
    """Return the size of a WavPack 4 block; its field omits the first 8 bytes."""
    if len(head) < 8 or head[:4] != b"wvpk":
        return None
    return 8 + int.from_bytes(head[4:8], "little")


def adts_seconds(head: bytes) -> float | None:
    """Return the duration of an AAC frame."""
    code = head[2] >> 2 & 15
    if code >= len(_ADTS_HERTZ):
        return None
    return _ADTS_SAMPLES * ((head[6] & 3) + 1) / _ADTS_HERTZ[code]


def ac3_seconds(head: bytes) -> float | None:
    """Return the duration of an AC-3 frame; None for E-AC-3."""
    if head[5] >> 3 > 10 or head[4] >> 6 == 3:
        return None
    return _AC3_SAMPLES / _AC3_HERTZ[head[4] >> 6]
