"""Read what media a trigger asks for."""

import json
from typing import Any

from serve_app.archive.identity import Identity
from serve_app.archive.kind import Fetch
from serve_app.errors import BadRequest

_LARGEST = 2**63 - 1
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
        _text(value, "provider", _LONGEST_NAME),
        _resolution(value),
    )
    return Fetch(identity.key, _text(value, "video_url", _LONGEST_KEY * 4), identity)


def _number(value: dict[str, Any], name: str) -> int:
    found = value.get(name)
    if not isinstance(found, int) or isinstance(found, bool):
        raise BadRequest(f"`{name}` must be a whole number.")
    if not 1 <= found <= _LARGEST:
        raise BadRequest(f"`{name}` must be at least 1.")
    return found


def _text(value: dict[str, Any], name: str, longest: int) -> str:
    found = value.get(name)
    if not isinstance(found, str) or not found.strip():
        raise BadRequest(f"`{name}` must be a text that is not empty.")
    if len(found) > longest or "\0" in found:
        raise BadRequest(
            f"`{name}` must have at most {longest} characters, and no NUL."
        )
    return found


def _resolution(value: dict[str, Any]) -> str | None:
    if value.get("resolution") in (None, ""):
        return None
    return _text(value, "resolution", _LONGEST_NAME)
