"""Skip tags (titles, pictures, lyrics) before, between and behind the audio.

Known are ID3v2 (id3.org, 2.3 and 2.4), ID3v1, APE tags and Lyrics3.
"""

from typing import BinaryIO

from serve_app.audio.splice import read_at

_ID3V2_HEADER_BYTES = 10
_ID3V2_FOOTER_FLAG = 0x10
_ID3V1_BYTES, _ID3V1_EXTENSION_BYTES = 128, 227
_APE_HEADER_BYTES = 32
# Lyrics3 tags state their size only at their end; longer ones are not allowed.
_LYRICS_BYTES = 5_100


def end_of_tags(file: BinaryIO, position: int) -> int:
    """Return the first position at or after `position` outside of any tag."""
    while size := _tag_bytes(file, position):
        position += size
    return position


def _tag_bytes(file: BinaryIO, position: int) -> int:
    head = read_at(file, position, _APE_HEADER_BYTES)
    if head.startswith(b"ID3") and _is_id3v2(head):
        footer = _ID3V2_HEADER_BYTES if head[5] & _ID3V2_FOOTER_FLAG else 0
        return _ID3V2_HEADER_BYTES + syncsafe(head[6:10]) + footer
    if head.startswith(b"APETAGEX") and len(head) == _APE_HEADER_BYTES:
        return _ape_bytes(head)
    if head.startswith(b"TAG"):
        return _ID3V1_EXTENSION_BYTES if head[3:4] == b"+" else _ID3V1_BYTES
    if head.startswith(b"LYRICSBEGIN"):
        return _lyrics_bytes(read_at(file, position, _LYRICS_BYTES + 20))
    return 0


def _is_id3v2(head: bytes) -> bool:
    return (
        len(head) >= _ID3V2_HEADER_BYTES
        and 0xFF not in head[3:5]
        and all(byte < 0x80 for byte in head[6:10])
    )


def _ape_bytes(head: bytes) -> int:
    size = int.from_bytes(head[12:16], "little")
    # The size counts the footer but not the header. A footer alone looks like a header.
    is_header = int.from_bytes(head[20:24], "little") & 1 << 29
    return size + _APE_HEADER_BYTES if is_header else _APE_HEADER_BYTES


def _lyrics_bytes(data: bytes) -> int:
    end = data.find(b"LYRICS200")
    end = data.find(b"LYRICSEND") if end < 0 else end
    return 0 if end < 0 else end + 9


def syncsafe(field: bytes) -> int:
    """Decode a synchsafe integer of seven bits per byte (ID3v2, 6.2)."""
    return sum((byte & 0x7F) << 7 * (3 - index) for index, byte in enumerate(field))
