"""What a key is: a relative path of plain segments, the same for every store."""

import re

_SEGMENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
_LONGEST = 1000


def checked(key: str) -> str:
    """Return `key`; ValueError when it is none."""
    segments = key.split("/")
    if len(key) > _LONGEST or not all(map(_SEGMENT.fullmatch, segments)):
        raise ValueError(f"{key!r} is no key")
    return key


def folder(prefix: str) -> str:
    """Return the key of a folder, which may be given with a slash at its end."""
    return checked(prefix.removesuffix("/"))


def check_range(start: int, end: int | None) -> None:
    """Raise ValueError unless [start, end) is a range of bytes."""
    if start < 0 or (end is not None and end < start):
        raise ValueError(f"{start}..{end} is no range of bytes")
