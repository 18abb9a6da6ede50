"""The search for the next frames behind bytes that are none."""

from typing import BinaryIO

from serve_app.audio import mpeg, tags
from serve_app.audio.frame_sizes import HEAD_BYTES
from serve_app.audio.frame_syntax import Syntax
from serve_app.audio.splice import read_at

_BLOCK_BYTES = 65_536
# So many frames in a row are no accident. At the end of a file one of the song's own
# kind is enough, if it ends there too.
_CHAIN_FRAMES = 4
# Of what only looks like a frame, in a file made up to have much of it.
_MOST_TRIES = 200_000


class Resync:
    """Looks for frames in a file that ends at `end`."""

    def __init__(self, file: BinaryIO, end: int, syntax: Syntax) -> None:
        self._file = file
        self.end = end
        self._syntax = syntax
        self._tries_left = _MOST_TRIES

    @property
    def is_spent(self) -> bool:
        """Whether the search was given up: what `next_frame` says then is no proof."""
        return self._tries_left <= 0

    def next_frame(
        self, start: int, kind: bytes | None, limit: int | None = None
    ) -> int | None:
        """Return where the next frames begin from `start` up to `limit`, or None."""
        limit = self.end if limit is None else min(limit, self.end)
        while start < limit and not self.is_spent:
            # The regular expressions look ahead.
            block = read_at(self._file, start, min(_BLOCK_BYTES, limit - start) + 4)
            for match in self._syntax.start.finditer(block):
                self._tries_left -= 1
                if match.start() < _BLOCK_BYTES and self.has_frames(
                    start + match.start(), kind
                ):
                    return start + match.start()
                if self.is_spent:
                    return None
            start += _BLOCK_BYTES
        return None

    def has_frames(self, position: int, kind: bytes | None = None) -> bool:
        """Whether frames are at `position`; fewer will do at the end, if of `kind`."""
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
