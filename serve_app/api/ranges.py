"""Parts of a file, and versions of it, as HTTP asks for them (RFC 9110)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from serve_app.errors import RangeNotSatisfiable

_ONE_RANGE = re.compile(r"bytes=\s*(\d*)-(\d*)\s*", re.IGNORECASE | re.ASCII)
_MAX_DIGITS = 18


@dataclass(frozen=True)
class ByteRange:
    """The bytes [start, end) of a file."""

    start: int
    end: int

    @property
    def size_bytes(self) -> int:
        """How many bytes they are."""
        return self.end - self.start


def parse(header: str, size_bytes: int) -> ByteRange | None:
    """Return the part that a Range header asks for, None for the whole file.

    Several parts and what is not understood are answered by the whole file, as the RFC
    allows. Raises RangeNotSatisfiable for a part that the file does not have.
    """
    match = _ONE_RANGE.fullmatch(header.strip())
    if match is None or max(map(len, match.groups())) > _MAX_DIGITS:
        return None
    first, last = match.groups()
    if first:
        start = int(first)
        end = min(int(last) + 1, size_bytes) if last else size_bytes
        if last and int(last) < start:
            return None
    elif last:
        start, end = max(0, size_bytes - int(last)), size_bytes
    else:
        return None
    if start >= end:
        raise RangeNotSatisfiable(
            f"The file has {size_bytes} bytes. Ask for a range within them.", size_bytes
        )
    return ByteRange(start, end)


def requested(
    headers: Mapping[str, str], size_bytes: int, etag: str
) -> ByteRange | None:
    """Return the part to send, None for the whole file; If-Range is obeyed."""
    if "range" not in headers or headers.get("if-range", etag) != etag:
        return None
    return parse(headers["range"], size_bytes)


def is_unchanged(headers: Mapping[str, str], etag: str) -> bool:
    """Whether the client has this version already, by If-None-Match."""
    known = headers.get("if-none-match")
    if known is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in known.split(",")]
    return "*" in tags or etag in tags
