"""Search for the next frames behind bytes that are not frames."""

from typing import BinaryIO

from serve_app.audio import mpeg, tags
from serve_app.audio.frame_sizes import HEAD_BYTES
from serve_app.audio.frame_syntax import Syntax
from serve_app.audio.splice import read_at

_BLOCK_BYTES = 65_536
# So many frames in a row are not a coincidence. At the end of a file, fewer are enough
# if they are of the song's own kind and end there too.
_CHAIN_FRAMES = 4
# Bounds the work for a malicious file full of false frame starts.
_MOST_TRIES = 200_000


class Resync:
    """Searches for frames in a file that ends at `end`."""

    def __init__(self, file: BinaryIO, end: int, syntax: Syntax) -> None:
        self._file = file
        self.end = end
        self._syntax = syntax
        self._tries_left = _MOST_TRIES

    @property
    def is_exhausted(self) -> bool:
        """Whether the limit of tries is reached: `next_frame` returns None then."""
        return self._tries_left <= 0

    def next_frame(
        self, start: int, kind: bytes | None, limit: int | None = None
    ) -> int | None:
        """Return the next frames' position from `start` up to `limit`, or None."""
        limit = self.end if limit is None else min(limit, self.end)
        while start < limit and not self.is_exhausted:
            # 4 more bytes for the patterns' lookahead.
            block = read_at(self._file, start, min(_BLOCK_BYTES, limit - start) + 4)
            for match in self._syntax.start.finditer(block):
                self._tries_left -= 1
                if match.start() < _BLOCK_BYTES and self.has_frames(
                    start + match.start(), kind
                ):
                    return start + match.start()
                if self.is_exhausted:
                    return None
            start += _BLOCK_BYTES
        return None

    def has_frames(self, position: int, kind: bytes | None = None) -> bool:
        """Whether frames start here; at the file's end one of `kind` is enough."""
        first: bytes | None = None
        for _ in range(_CHAIN_FRAMES):
            head = read_at(self._file, position, HEAD_BYTES)
            size_bytes = self._syntax.measure(head)
            if not size_bytes:
                is_own = first is not None and first == kind
                return is_own and self._is_end(position)
            first = mpeg.kind(head) if first is None else first
            if mpeg.kind(head) != first:
                return False
            position += size_bytes
        return True

    def _is_end(self, position: int) -> bool:
        is_inside = position <= self.end
        return is_inside and tags.end_of_tags(self._file, position) >= self.end
