"""A zip archive whose every byte is known before its files are read.

The files are stored uncompressed, so that any range of the archive can be read alone.
The format is that of PKWARE's APPNOTE 6.3.10, with its ZIP64 extensions where a file or
the archive has 4 GiB or more.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from serve_app.api.ranges import ByteRange

# Of a member by its position, the bytes of a range.
ReadMember = Callable[[int, ByteRange], Iterator[bytes]]

_LIMIT = 0xFFFFFFFF
_MOST_MEMBERS = 0xFFFE
_LONGEST_NAME_BYTES = 0xFFFF
_VERSION, _VERSION_ZIP64 = 20, 45
_MADE_ON_UNIX = 3 << 8
_UTF8_NAMES = 1 << 11
_STORED = 0
_ZIP64_EXTRA = 1
_FILE_MODE = 0o100644 << 16
_FIRST_YEAR, _LAST_YEAR = 1980, 2107


@dataclass(frozen=True)
class Member:
    """A file of the archive: its name, its size, and its CRC-32."""

    name: str
    size_bytes: int
    crc32: int = 0


class ZipLayout:
    """An archive of `members`, in their order, all with the time `modified_at`.

    Its size does not depend on the CRCs. Raises ValueError for names that are repeated,
    or that are paths.
    """

    def __init__(self, members: Sequence[Member], modified_at: datetime) -> None:
        _check([member.name for member in members])
        time = _dos_time(modified_at)
        self._members = members
        self._heads: list[bytes] = []
        offset, entries = 0, []
        for member in members:
            head = _local_header(member, time)
            entries.append(_central_header(member, time, offset))
            self._heads.append(head)
            offset += len(head) + member.size_bytes
        directory = b"".join(entries)
        self._tail = directory + _end(len(members), len(directory), offset)
        self.size_bytes = offset + len(self._tail)

    def read(self, span: ByteRange, read_member: ReadMember) -> Iterator[bytes]:
        """Yield the bytes of the archive in `span`."""
        for start, piece in self._pieces():
            size_bytes = len(piece) if isinstance(piece, bytes) else self._size(piece)
            first = max(span.start - start, 0)
            end = min(span.end - start, size_bytes)
            if first >= end:
                continue
            if isinstance(piece, bytes):
                yield piece[first:end]
            else:
                yield from read_member(piece, ByteRange(first, end))

    def members_in(self, span: ByteRange) -> Iterator[int]:
        """Yield the positions of the members with bytes in `span`."""
        for start, piece in self._pieces():
            if isinstance(piece, int):
                end = start + self._size(piece)
                if max(start, span.start) < min(end, span.end):
                    yield piece

    def _size(self, position: int) -> int:
        return self._members[position].size_bytes

    def _pieces(self) -> Iterator[tuple[int, bytes | int]]:
        """Yield what the archive consists of, bytes and members, with each offset."""
        offset = 0
        for position, head in enumerate(self._heads):
            yield offset, head
            yield offset + len(head), position
            offset += len(head) + self._size(position)
        yield offset, self._tail


def _check(names: Sequence[str]) -> None:
    if len(names) > _MOST_MEMBERS:
        raise ValueError(f"a zip must have at most {_MOST_MEMBERS} files")
    if len(set(names)) < len(names):
        raise ValueError("the names of files in a zip must differ")
    for name in names:
        is_path = name in ("", ".", "..") or set(name) & set("/\\\0")
        if is_path or len(name.encode()) > _LONGEST_NAME_BYTES:
            raise ValueError(f"a file in a zip can't be named {name[:40]!r}")


def _dos_time(time: datetime) -> tuple[int, int]:
    """Return the time and the date of MS-DOS, to two seconds (APPNOTE 4.4.6)."""
    year = min(max(time.year, _FIRST_YEAR), _LAST_YEAR)
    date = (year - _FIRST_YEAR) << 9 | time.month << 5 | time.day
    return time.hour << 11 | time.minute << 5 | time.second // 2, date


def _local_header(member: Member, time: tuple[int, int]) -> bytes:
    """Return the header before a file (APPNOTE 4.3.7)."""
    size, name = member.size_bytes, member.name.encode()
    extra = b""
    if size >= _LIMIT:
        # Here both sizes are required (4.5.3).
        extra = struct.pack("<HHQQ", _ZIP64_EXTRA, 16, size, size)
    return (
        struct.pack(
            *("<4s5H3I2H", b"PK\3\4", _version(bool(extra)), _UTF8_NAMES, _STORED),
            *(*time, member.crc32, min(size, _LIMIT), min(size, _LIMIT)),
            *(len(name), len(extra)),
        )
        + name
        + extra
    )


def _central_header(member: Member, time: tuple[int, int], offset: int) -> bytes:
    """Return a file's entry in the central directory (APPNOTE 4.3.12)."""
    size, name = member.size_bytes, member.name.encode()
    large = [size, size] if size >= _LIMIT else []
    large += [offset] if offset >= _LIMIT else []
    extra = b""
    if large:
        extra = struct.pack(f"<HH{len(large)}Q", _ZIP64_EXTRA, 8 * len(large), *large)
    version = _version(bool(extra))
    return (
        struct.pack(
            *("<4s6H3I5H2I", b"PK\1\2", _MADE_ON_UNIX | version, version),
            *(_UTF8_NAMES, _STORED, *time, member.crc32),
            *(min(size, _LIMIT), min(size, _LIMIT), len(name), len(extra)),
            *(0, 0, 0, _FILE_MODE, min(offset, _LIMIT)),
        )
        + name
        + extra
    )


def _end(count: int, directory_bytes: int, offset: int) -> bytes:
    """Return what follows the central directory at `offset` (APPNOTE 4.3.14-16)."""
    zip64 = b""
    if offset >= _LIMIT or directory_bytes >= _LIMIT:
        record = struct.pack(
            *("<4sQ2H2I4Q", b"PK\6\6", 44, _MADE_ON_UNIX | _VERSION_ZIP64),
            *(_VERSION_ZIP64, 0, 0, count, count, directory_bytes, offset),
        )
        locator = struct.pack("<4sIQI", b"PK\6\7", 0, offset + directory_bytes, 1)
        zip64 = record + locator
    return zip64 + struct.pack(
        *("<4s4H2IH", b"PK\5\6", 0, 0, count, count),
        *(min(directory_bytes, _LIMIT), min(offset, _LIMIT), 0),
    )


def _version(is_zip64: bool) -> int:
    return _VERSION_ZIP64 if is_zip64 else _VERSION
