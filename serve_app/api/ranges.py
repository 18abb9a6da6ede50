"""Range and conditional requests (RFC 9110)."""

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
        """The number of bytes."""
        return self.end - self.start


def parse(header: str, size_bytes: int) -> ByteRange | None:
    """Return the range that a Range header requests, or None for the whole file.

    Several ranges and invalid headers mean the whole file, as the RFC allows. Raises
    RangeNotSatisfiable for a range outside the file.
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
            f"The range is outside the file, which has {size_bytes} bytes. Request a "
            "range within it.",
            size_bytes,
        )
    return ByteRange(start, end)


def requested(
    headers: Mapping[str, str], size_bytes: int, etag: str
) -> ByteRange | None:
    """Return the range to send by Range and If-Range, or None for the whole file."""
    if "range" not in headers or headers.get("if-range", etag) != etag:
        return None
    return parse(headers["range"], size_bytes)


def is_unchanged(headers: Mapping[str, str], etag: str) -> bool:
    """Whether If-None-Match names this version."""
    known = headers.get("if-none-match")
    if known is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in known.split(",")]
    return "*" in tags or etag in tags
