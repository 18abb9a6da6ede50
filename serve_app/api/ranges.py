"""Range and conditional requests (RFC 9110)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from serve_app.errors import PreconditionFailed, RangeNotSatisfiable

_ONE_RANGE = re.compile(r"bytes=\s*(\d*)-(\d*)\s*", re.IGNORECASE | re.ASCII)
# Larger than any file. Python refuses to read numbers of thousands of digits.
_MAX_DIGITS = 18
_FAR = 10**_MAX_DIGITS


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
    if match is None:
        return None
    first, last = match.groups()
    if first:
        start = _number(first)
        end = min(_number(last) + 1, size_bytes) if last else size_bytes
        if last and _number(last) < start:
            return None
    elif last:
        start, end = max(0, size_bytes - _number(last)), size_bytes
    else:
        return None
    if start >= end:
        raise RangeNotSatisfiable(
            f"The range is outside the file, which has {size_bytes} bytes. Request a "
            "range within it.",
            size_bytes,
        )
    return ByteRange(start, end)


def is_single(header: str) -> bool:
    """Whether a Range header is one range, which other servers understand alike."""
    match = _ONE_RANGE.fullmatch(header.strip())
    if match is None:
        return False
    first, last = match.groups()
    return bool(last) if not first else not last or _number(first) <= _number(last)


def requested(
    headers: Mapping[str, str],
    size_bytes: int,
    etag: str,
    modified_at: datetime | None = None,
) -> ByteRange | None:
    """Return the range to send by Range and If-Range, or None for the whole file.

    `modified_at` is the time that the response sends as Last-Modified, if it does.
    """
    if "range" not in headers:
        return None
    condition = headers.get("if-range", etag).strip()
    known = (etag, *([http_date(modified_at)] if modified_at is not None else []))
    return parse(headers["range"], size_bytes) if condition in known else None


def is_unchanged(
    headers: Mapping[str, str], etag: str, modified_at: datetime | None = None
) -> bool:
    """Whether the client has this version, by If-None-Match or If-Modified-Since."""
    known = headers.get("if-none-match")
    if known is not None:
        return _names(known, etag, is_weak=True)
    since = _date(headers.get("if-modified-since"))
    if since is None or modified_at is None:
        return False
    return modified_at.replace(microsecond=0) <= since


def check_preconditions(
    headers: Mapping[str, str], etag: str, modified_at: datetime
) -> None:
    """Raise PreconditionFailed unless If-Match and If-Unmodified-Since hold."""
    known = headers.get("if-match")
    since = _date(headers.get("if-unmodified-since"))
    if known is not None:
        is_met = _names(known, etag, is_weak=False)
    else:
        is_met = since is None or modified_at.replace(microsecond=0) <= since
    if not is_met:
        raise PreconditionFailed(
            "The file is another version than If-Match or If-Unmodified-Since names. "
            "Request it again without them."
        )


def http_date(time: datetime) -> str:
    """Return a time as Last-Modified has it, to the second."""
    return format_datetime(time.astimezone(UTC), usegmt=True)


def _number(digits: str) -> int:
    plain = digits.lstrip("0")
    return int(plain or "0") if len(plain) <= _MAX_DIGITS else _FAR


def _names(header: str, etag: str, *, is_weak: bool) -> bool:
    """Whether a list of tags has `etag`, by weak or by strong comparison."""
    tags = [tag.strip() for tag in header.split(",")]
    if is_weak:
        tags = [tag.removeprefix("W/") for tag in tags]
    return "*" in tags or etag in tags


def _date(header: str | None) -> datetime | None:
    """Return a date of HTTP; None for one that is missing or invalid, hence ignored."""
    try:
        found = parsedate_to_datetime(header or "")
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
