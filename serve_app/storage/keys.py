"""Validation of keys: relative paths of plain segments, the same for all stores."""

import re

_SEGMENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
_LONGEST = 1000


def checked(key: str) -> str:
    """Return `key`; raise ValueError if it is not a valid key."""
    segments = key.split("/")
    if len(key) > _LONGEST or not all(map(_SEGMENT.fullmatch, segments)):
        raise ValueError(f"{key!r} is not a valid key")
    return key


def folder(prefix: str) -> str:
    """Return the key of a folder, without a trailing slash; ValueError if invalid."""
    return checked(prefix.removesuffix("/"))


def check_range(start: int, end: int | None) -> None:
    """Raise ValueError unless [start, end) is a range of bytes."""
    if start < 0 or (end is not None and end < start):
        raise ValueError(f"{start}..{end} is not a valid range of bytes")
