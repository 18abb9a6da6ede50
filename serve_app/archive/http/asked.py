"""Read what media a trigger asks for."""

import json
from typing import Any

from serve_app.archive.identity import Identity
from serve_app.archive.kind import Fetch
from serve_app.errors import BadRequest

# As in the old API's tables, and in players' numbers.
_LARGEST = 2**31 - 1
_LONGEST_KEY = 1000
_LONGEST_NAME = 200


def parsed(body: bytes) -> Fetch:
    """Return what a body asks for: an episode, or a `key` and a `url`.

    Raises BadRequest, with the field that is wrong.
    """
    try:
        value = json.loads(body)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as err:
        raise BadRequest("The body must be a JSON object.") from err
    if not isinstance(value, dict):
        raise BadRequest("The body must be a JSON object.")
    if "key" in value:
        return Fetch(
            _text(value, "key", _LONGEST_KEY), _text(value, "url", _LONGEST_KEY * 4)
        )
    identity = Identity(
        _number(value, "mal_id"),
        _number(value, "episode"),
        _segment(value, "provider"),
        _resolution(value),
    )
    return Fetch(identity.key, _text(value, "video_url", _LONGEST_KEY * 4), identity)


def _number(value: dict[str, Any], name: str) -> int:
    found = value.get(name)
    if not isinstance(found, int) or isinstance(found, bool):
        raise BadRequest(f"`{name}` must be a whole number.")
    if not 1 <= found <= _LARGEST:
        raise BadRequest(f"`{name}` must be 1 to {_LARGEST}.")
    return found


def _text(value: dict[str, Any], name: str, longest: int) -> str:
    found = value.get(name)
    if not isinstance(found, str) or not found.strip():
        raise BadRequest(f"`{name}` must be a text that is not empty.")
    if len(found) > longest or not found.isprintable():
        raise BadRequest(
            f"`{name}` must have at most {longest} characters, all of them printable."
        )
    return found


def _segment(value: dict[str, Any], name: str) -> str:
    """Return a text that is one segment of the path of `/stream`."""
    found = _text(value, name, _LONGEST_NAME)
    if "/" in found or found in (".", ".."):
        raise BadRequest(f"`{name}` must have no slash, got {found!r}.")
    return found


def _resolution(value: dict[str, Any]) -> str | None:
    if value.get("resolution") in (None, ""):
        return None
    return _segment(value, "resolution")
