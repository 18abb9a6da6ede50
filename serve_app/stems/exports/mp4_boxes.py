"""Reading and rewriting the boxes of an mp4 (ISO/IEC 14496-12) around its sound."""

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from serve_app.stems.exports.tags import Cover, Tags

_COPY_BYTES = 1 << 20
# Most mp4s have 32-bit chunk offsets.
_OFFSET_LIMIT = 2**32
# The boxes on the path from the movie to the chunk offsets.
_PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
_OFFSETS = {b"stco": ">u4", b"co64": ">u8"}
_FULL_BOX = bytes(4)  # version 0, no flags
# Apple's types of values: UTF-8, signed integer, JPEG and PNG.
_TEXT, _INTEGER, _JPEG, _PNG = 1, 21, 13, 14
_TEXT_ATOMS = {
    "title": b"\xa9nam",
    "artist": b"\xa9ART",
    "album": b"\xa9alb",
    "album_artist": b"aART",
    "genre": b"\xa9gen",
    "date": b"\xa9day",
    "comment": b"\xa9cmt",
}


def box(kind: bytes, *contents: bytes) -> bytes:
    """Return a box with this kind and content."""
    size = 8 + sum(map(len, contents))
    return b"".join((struct.pack(">I", size), kind, *contents))


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind and the content of each box in `data`.

    Raises ValueError if the size of a box is wrong.
    """
    position = 0
    while position < len(data):
        if position + 8 > len(data):
            raise ValueError("a box is incomplete")
        size, kind = struct.unpack_from(">I4s", data, position)
        if size < 8 or position + size > len(data):
            raise ValueError(f"the box {kind!r} has an invalid size of {size} bytes")
        yield kind, data[position + 8 : position + size]
        position += size


def rewrite(source: Path, target: Path, user_data: bytes) -> None:
    """Copy an mp4 with `user_data` as its only `udta`, and its index before its sound.

    The sound is copied byte for byte. In files over 4 GB it stays before the index,
    because moved chunks might exceed the index's 32-bit offsets. Raises ValueError if
    `source` is not an mp4 with sound.
    """
    with source.open("rb") as file, target.open("wb") as out:
        places = {kind: (start, size) for kind, start, size in _top(file)}
        if not {b"ftyp", b"moov", b"mdat"} <= places.keys():
            raise ValueError(f"{source.name} is not an mp4 with sound")
        start, size = places[b"moov"]
        file.seek(start)
        old = [pair for pair in boxes(file.read(size)[8:]) if pair[0] != b"udta"]
        moov = box(b"moov", *(box(*pair) for pair in old), box(b"udta", user_data))
        ftyp_start, ftyp_size = places[b"ftyp"]
        mdat_start, mdat_size = places[b"mdat"]
        is_first = ftyp_size + len(moov) + mdat_start + mdat_size < _OFFSET_LIMIT
        shift = ftyp_size - mdat_start + (len(moov) if is_first else 0)
        moov = _shifted(moov, shift)
        copy(file, out, ftyp_start, ftyp_size)
        if is_first:
            out.write(moov)
        copy(file, out, mdat_start, mdat_size)
        if not is_first:
            out.write(moov)


def metadata(tags: Tags) -> bytes:
    """Return the `meta` box from which iTunes and DJ programs read tags."""
    atoms = [
        _atom(kind, _TEXT, getattr(tags, field).encode())
        for field, kind in _TEXT_ATOMS.items()
        if getattr(tags, field)
    ]
    numbers = re.fullmatch(r"(\d{1,4})(?:/(\d{1,4}))?", tags.track)
    if numbers is not None:
        number, total = int(numbers[1]), int(numbers[2] or 0)
        atoms.append(_atom(b"trkn", 0, struct.pack(">HHHH", 0, number, total, 0)))
    if tags.bpm > 0:
        # `tmpo` has no decimals, `BPM` has.
        atoms.append(_atom(b"tmpo", _INTEGER, struct.pack(">H", round(tags.bpm))))
        atoms.append(_named_atom("BPM", tags.bpm_text))
    if tags.key:
        atoms.append(_named_atom("initialkey", tags.key))
    if tags.cover is not None:
        atoms.append(_atom(b"covr", _picture_type(tags.cover), tags.cover.data))
    handler = box(b"hdlr", _FULL_BOX, bytes(4), b"mdirappl", bytes(9))
    return box(b"meta", _FULL_BOX, handler, box(b"ilst", *atoms))


def _top(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind, offset and size of each top-level box."""
    position, end = 0, file.seek(0, 2)
    while position + 8 <= end:
        file.seek(position)
        size, kind = struct.unpack(">I4s", file.read(8))
        if size == 1:
            size = int.from_bytes(file.read(8), "big")
        elif size == 0:
            size = end - position
        if size < 8 or position + size > end:
            raise ValueError(f"the box {kind!r} has an invalid size of {size} bytes")
        yield kind, position, size
        position += size


def _shifted(data: bytes, shift: int) -> bytes:
    """Return the boxes with all chunk offsets moved by `shift`."""
    moved = []
    for kind, content in boxes(data):
        if kind in _PARENTS:
            content = _shifted(content, shift)
        elif kind in _OFFSETS:
            count = int.from_bytes(content[4:8], "big")
            offsets = np.frombuffer(content, _OFFSETS[kind], count, 8).astype(np.int64)
            content = content[:8] + (offsets + shift).astype(_OFFSETS[kind]).tobytes()
        moved.append(box(kind, content))
    return b"".join(moved)


def copy(file: BinaryIO, out: BinaryIO, start: int, size: int) -> None:
    """Copy `size` bytes of a file from `start`, in blocks."""
    file.seek(start)
    while size > 0:
        data = file.read(min(size, _COPY_BYTES))
        out.write(data)
        size -= len(data)


def _atom(kind: bytes, value_type: int, value: bytes) -> bytes:
    return box(kind, box(b"data", struct.pack(">II", value_type, 0), value))


def _named_atom(name: str, value: str) -> bytes:
    return box(
        b"----",
        box(b"mean", _FULL_BOX, b"com.apple.iTunes"),
        box(b"name", _FULL_BOX, name.encode()),
        box(b"data", struct.pack(">II", _TEXT, 0), value.encode()),
    )


def _picture_type(cover: Cover) -> int:
    return _PNG if cover.media_type == "image/png" else _JPEG
