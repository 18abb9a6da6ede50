"""The keys of objects in the bucket, as tasks name them and as they are made."""

import re
from datetime import UTC, datetime
from typing import Any

from serve_app.library.errors import NotATask

# The limit of S3.
_MOST_BYTES = 1024
# With what is added to it, an id is one name of a file, of 255 bytes at most.
_MOST_ID_BYTES = 160
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def checked(value: Any, field: str) -> str:
    """Return a key of the bucket; raise NotATask, with the reason, for anything else.

    A URL would name another place, and some stores resolve the segments `.` and `..`.
    """
    if not isinstance(value, str) or not value:
        raise NotATask(f"`{field}` must be a key of the bucket, and not empty.")
    if len(value.encode()) > _MOST_BYTES:
        raise NotATask(f"`{field}` has more than {_MOST_BYTES} bytes, the limit of S3.")
    if _URL.match(value):
        raise NotATask(f"`{field}` must be a key of the bucket, not a URL.")
    if {".", ".."} & set(value.split("/")):
        raise NotATask(f"`{field}` must not have the segments `.` and `..`.")
    if _CONTROL.search(value):
        raise NotATask(f"`{field}` must not have control characters.")
    return value


def checked_id(value: Any, field: str) -> str:
    """Return an id that keys can be made of; raise NotATask for anything else.

    Receivers match an arbitrary row if it is missing or empty.
    """
    if not isinstance(value, str) or not value.strip():
        raise NotATask(f"`{field}` must be a text that is not empty.")
    if len(value.encode()) > _MOST_ID_BYTES:
        raise NotATask(f"`{field}` has more than {_MOST_ID_BYTES} bytes.")
    if "/" in value or _CONTROL.search(value):
        raise NotATask(f"`{field}` must not have slashes or control characters.")
    return value


def time_of(moment: datetime) -> str:
    """Return a time as in keys and in webhooks: UTC, with microseconds and colons."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def waveform(stem_id: str, now: datetime) -> str:
    """Return the key of a stem's waveform."""
    return f"waveforms/{stem_id}_waveform_{time_of(now)}.json"


def mix(stage_id: str, now: datetime) -> str:
    """Return the key of a stage's mix."""
    return f"mixed/{stage_id}_mixed_{time_of(now)}.wav"


def mix_waveform(stage_id: str, now: datetime) -> str:
    """Return the key of the waveform of a stage's mix."""
    return f"waveforms/{stage_id}_mixed_waveform_{time_of(now)}.json"
