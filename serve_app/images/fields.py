"""The fields of a JSON body, with errors that never repeat what the client wrote."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from serve_app.errors import InvalidField, InvalidInput


def parsed(body: bytes) -> Mapping[str, Any]:
    """Return the object in a body. Raises InvalidInput."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as err:
        raise InvalidInput("The body must be a JSON object.") from err
    if not isinstance(value, dict):
        raise InvalidInput("The body must be a JSON object.")
    return value


class Fields:
    """The fields of a request; its `config` may have those `in_config` instead.

    A field that is null counts as missing. All methods raise InvalidField.
    """

    def __init__(self, values: Mapping[str, Any], in_config: Collection[str]) -> None:
        config = {} if values.get("config") is None else values["config"]
        if not isinstance(config, dict):
            raise InvalidField("`config` must be an object.", "config")
        below = {name: config[name] for name in in_config if name in config}
        self._values = {**_present(below), **_present(values)}

    def find(self, *names: str) -> Any:
        """Return the first of several names that is there, or None."""
        return next(
            (self._values[name] for name in names if name in self._values), None
        )

    def text(self, *names: str, longest: int) -> str:
        """Return a required text that is not empty."""
        found = self._text(names[0], self.find(*names), longest)
        if not found.strip():
            raise InvalidField(f"`{names[0]}` must not be empty.", names[0])
        return found

    def optional_text(self, name: str, longest: int) -> str:
        """Return a text, or "" if it is missing."""
        found = self.find(name)
        return "" if found is None else self._text(name, found, longest)

    def whole(self, name: str, least: int, most: int) -> int | None:
        """Return a whole number, or None if it is missing; 20.0 is one."""
        found = self.number(name, least, most)
        if found is None:
            return None
        if not found.is_integer():
            raise InvalidField(_range("a whole number", name, least, most), name)
        return int(found)

    def number(self, name: str, least: float, most: float) -> float | None:
        """Return a number, or None if it is missing."""
        found = self.find(name)
        if found is None:
            return None
        is_number = isinstance(found, int | float) and not isinstance(found, bool)
        if not is_number or not least <= found <= most:
            raise InvalidField(_range("a number", name, least, most), name)
        return float(found)

    def texts(self, *names: str, most: int) -> list[str]:
        """Return a required list of 1 to `most` texts."""
        found, name = self.find(*names), names[0]
        if found is None:
            raise InvalidField(f"`{name}` is required.", name)
        is_list = isinstance(found, list) and all(isinstance(i, str) for i in found)
        if not is_list or not 1 <= len(found) <= most:
            raise InvalidField(
                f"`{name}` must be a list of 1 to {most} texts, each the base64 of an "
                "image.",
                name,
            )
        if not all(found):
            raise InvalidField(f"`{name}` must not have empty texts.", name)
        return list(found)

    def _text(self, name: str, found: Any, longest: int) -> str:
        if found is None:
            raise InvalidField(f"`{name}` is required.", name)
        if not isinstance(found, str):
            raise InvalidField(f"`{name}` must be a text.", name)
        if len(found) > longest:
            raise InvalidField(
                f"`{name}` must have at most {longest} characters, got {len(found)}.",
                name,
            )
        if not found.isascii() and any("\ud800" <= char <= "\udfff" for char in found):
            raise InvalidField(f"`{name}` must be valid Unicode.", name)
        return found


def _present(values: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _range(kind: str, name: str, least: float, most: float) -> str:
    return f"`{name}` must be {kind} from {least:g} to {most:.16g}."
