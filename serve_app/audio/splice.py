"""Present stretches of a file, and replacement bytes, as one file to a decoder."""

import io
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

_BUFFER_BYTES = 65_536


@dataclass(frozen=True)
class Stretch:
    """The bytes of a file from `start` up to `end`."""

    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


Piece = Stretch | bytes


class Splice(io.RawIOBase):
    """Reads stretches of a file, and bytes from memory, as one seekable file.

    Its name has no suffix, so that FFmpeg detects the format by the bytes alone.
    """

    name = "song"

    def __init__(self, path: Path, pieces: Sequence[Piece]) -> None:
        self._pieces = [piece for piece in pieces if len(piece)]
        self._starts = [0, *accumulate(len(piece) for piece in self._pieces)]
        self._position = 0
        self._file = path.open("rb", buffering=0)

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position of the next read."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position and return it."""
        origin = {io.SEEK_CUR: self._position, io.SEEK_END: self._starts[-1]}
        self._position = max(0, origin.get(whence, 0) + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read into `buffer` up to the end of a piece; return the number of bytes."""
        index = bisect_right(self._starts, self._position) - 1
        if index == len(self._pieces):
            return 0
        piece, inside = self._pieces[index], self._position - self._starts[index]
        size = min(len(buffer), len(piece) - inside)
        if isinstance(piece, bytes):
            data = piece[inside : inside + size]
        else:
            self._file.seek(piece.start + inside)
            data = self._file.read(size)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def spliced(path: Path, pieces: Sequence[Piece]) -> io.BufferedReader:
    """Open the pieces as one buffered file, whose reads cross piece boundaries."""
    return io.BufferedReader(Splice(path, pieces), _BUFFER_BYTES)


def replaced(whole: Stretch, changes: Iterable[tuple[int, bytes]]) -> tuple[Piece, ...]:
    """Return `whole` in pieces, with each of `changes` (position, bytes) replaced."""
    pieces: list[Piece] = []
    start = whole.start
    for position, data in sorted(changes):
        pieces += [Stretch(start, position), data]
        start = position + len(data)
    return (*pieces, Stretch(start, whole.end))


def read_at(file: BinaryIO, position: int, size: int) -> bytes:
    """Return `size` bytes of a file from `position`, fewer at its end."""
    file.seek(position)
    return file.read(size)


def find(file: BinaryIO, pattern: bytes, start: int, end: int) -> int | None:
    """Return the first position of `pattern` from `start` up to `end`, or None."""
    overlap = len(pattern) - 1
    while start < end:
        data = read_at(file, start, min(_BUFFER_BYTES, end - start))
        if (found := data.find(pattern)) >= 0:
            return start + found
        if len(data) <= overlap:
            return None
        start += len(data) - overlap
    return None
