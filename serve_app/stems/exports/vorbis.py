"""Vorbis comments (xiph.org) for FLAC (RFC 9639) and Opus (RFC 7845)."""

import base64
import struct
import zlib
from collections.abc import Iterator

from serve_app.stems.exports.tags import Cover, Tags

_NAMES = {
    "title": "TITLE",
    "artist": "ARTIST",
    "album": "ALBUM",
    "album_artist": "ALBUMARTIST",
    "genre": "GENRE",
    "date": "DATE",
    "track": "TRACKNUMBER",
    "comment": "COMMENT",
    "bpm_text": "BPM",
    "key": "INITIALKEY",
}
_VENDOR = "stemserve"
_FRONT_COVER = 3


def comments(tags: Tags, *, with_cover: bool, vendor: str = _VENDOR) -> bytes:
    """Return the comment header, including the cover if `with_cover`."""
    entries = [
        f"{name}={getattr(tags, field)}"
        for field, name in _NAMES.items()
        if getattr(tags, field)
    ]
    if with_cover and tags.cover is not None:
        data = base64.b64encode(picture(tags.cover)).decode()
        entries.append(f"METADATA_BLOCK_PICTURE={data}")
    fields = [_text(vendor), struct.pack("<I", len(entries)), *map(_text, entries)]
    return b"".join(fields)


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<I", len(data)) + data


def picture(cover: Cover) -> bytes:
    """Return FLAC's picture block, without its size in pixels."""
    media_type = cover.media_type.encode()
    return b"".join(
        (
            struct.pack(">II", _FRONT_COVER, len(media_type)),
            media_type,
            bytes(4),  # no description
            bytes(16),  # width, height, depth and colours
            struct.pack(">I", len(cover.data)),
            cover.data,
        )
    )


def pages_of(packet: bytes, serial: bytes, first_number: int) -> Iterator[bytes]:
    """Yield the Ogg pages of one header packet (RFC 3533)."""
    sizes = [255] * (len(packet) // 255) + [len(packet) % 255]
    position = 0
    for start in range(0, len(sizes), 255):
        lacing = sizes[start : start + 255]
        # Only a page on which a packet ends has a position in the song.
        is_last = start + 255 >= len(sizes)
        head = struct.pack(
            "<4sBBq", b"OggS", 0, 1 if start else 0, 0 if is_last else -1
        )
        number = struct.pack("<I", first_number + start // 255)
        body = packet[position : position + sum(lacing)]
        position += len(body)
        yield checked(
            head + serial + number + bytes(4) + bytes([len(lacing), *lacing]) + body
        )


_CHECK_START, _CHECK_END = 22, 26


def checked(page: bytes) -> bytes:
    """Return an Ogg page with a valid checksum."""
    blank = page[:_CHECK_START] + bytes(4) + page[_CHECK_END:]
    check = struct.pack("<I", ogg_check(blank))
    return page[:_CHECK_START] + check + page[_CHECK_END:]


_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def ogg_check(data: bytes) -> int:
    """Return Ogg's checksum: zlib's CRC-32 with reversed bits, starting from 0.

    >>> hex(ogg_check(b"123456789"))
    '0x89a1897f'
    """
    reflected = zlib.crc32(data.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{reflected:032b}"[::-1], 2)
