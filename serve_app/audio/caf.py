"""CAF files with packets, and their packet table.

Apple Core Audio Format Specification 1.0: `desc` describes the audio, and `pakt` lists
the packets if their sizes vary.
"""

import struct
from typing import BinaryIO

from serve_app.audio.splice import Stretch, read_at

_HEADER_BYTES, _CHUNK_HEADER_BYTES = 8, 12
_CODEC_OFFSET, _PACKET_OFFSET = 8, 16
_VALID_FRAMES_OFFSET, _REMAINDER_OFFSET = 8, 20
_TABLE_HEADER_BYTES = 24

# The format has a dozen kinds of chunks: a file with more only costs time.
_MOST_CHUNKS = 1_000


def has_packets(file: BinaryIO) -> bool:
    """Whether the audio has packets of varying size, listed only in the table."""
    chunks = _chunks(file)
    if b"desc" not in chunks:
        return False
    sizes = read_at(file, chunks[b"desc"].start + _PACKET_OFFSET, 8)
    return 0 in struct.unpack(">II", sizes.ljust(8, b"\xff"))


def is_cut_short(file: BinaryIO) -> bool:
    """Whether the end of the packets or of the packet table is missing."""
    chunks = _chunks(file)
    ends = [chunks[name].end for name in (b"data", b"pakt") if name in chunks]
    return len(ends) < 2 or max(ends) > file.seek(0, 2)


def without_remainder(file: BinaryIO) -> list[tuple[int, bytes]]:
    """Return the changes that keep FFmpeg from shortening the last ALAC packet twice.

    The packet itself states how many samples it has. FFmpeg also subtracts the packet
    table's remainder (samples missing from a full packet), so the remainder is zeroed.
    """
    table = _alac_table(file)
    return [] if table is None else [(table.start + _REMAINDER_OFFSET, bytes(4))]


def alac_samples(file: BinaryIO) -> int | None:
    """Return an ALAC's samples by its packet table; None for another codec."""
    table = _alac_table(file)
    if table is None:
        return None
    field = read_at(file, table.start + _VALID_FRAMES_OFFSET, 8)
    return int.from_bytes(field, "big", signed=True)


def _alac_table(file: BinaryIO) -> Stretch | None:
    chunks = _chunks(file)
    if b"desc" not in chunks or b"pakt" not in chunks:
        return None
    codec = read_at(file, chunks[b"desc"].start + _CODEC_OFFSET, 4)
    table = chunks[b"pakt"]
    is_whole = table.start + _TABLE_HEADER_BYTES <= table.end
    return table if codec == b"alac" and is_whole else None


def _chunks(file: BinaryIO) -> dict[bytes, Stretch]:
    """Return the contents' range of the first chunk of each name."""
    found: dict[bytes, Stretch] = {}
    size_bytes = file.seek(0, 2)
    position = _HEADER_BYTES
    for _ in range(_MOST_CHUNKS):
        if position + _CHUNK_HEADER_BYTES > size_bytes:
            break
        header = read_at(file, position, _CHUNK_HEADER_BYTES)
        name, stated = struct.unpack(">4sq", header)
        start = position + _CHUNK_HEADER_BYTES
        # An audio chunk of unknown size (-1) is the last one.
        position = size_bytes if stated < 0 else start + stated
        found.setdefault(name, Stretch(start, position))
    return found
