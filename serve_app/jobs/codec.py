"""Conversion of requests and results to and from JSON."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")


def prepare(*kinds: type[Any]) -> None:
    """Build what converts these dataclasses: it takes longer than a claim."""
    for kind in kinds:
        _adapter(kind)


def to_json(value: Any) -> dict[str, Any]:
    """Return a frozen dataclass as a JSON object, without fields that are None.

    A version that does not know a new field can so read values that don't use it.
    """
    dumped: dict[str, Any] = _adapter(type(value)).dump_python(
        value, mode="json", exclude_none=True
    )
    return dumped


def from_json(kind: type[T], value: Mapping[str, Any]) -> T:
    """Return `value` as the dataclass `kind`; unknown fields are ignored.

    Raises pydantic.ValidationError if `value` does not match.
    """
    found: T = _adapter(kind).validate_python(value)
    return found


# Cached: making an adapter takes longer than using it a thousand times.
_adapters: dict[type[Any], TypeAdapter[Any]] = {}


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]
