"""Requests and results as JSON."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")


def to_json(value: Any) -> dict[str, Any]:
    """Return a frozen dataclass as JSON has it, without fields that are None.

    So a version that does not know a new field reads what has none.
    """
    dumped: dict[str, Any] = _adapter(type(value)).dump_python(
        value, mode="json", exclude_none=True
    )
    return dumped


def from_json(kind: type[T], value: Mapping[str, Any]) -> T:
    """Return the dataclass that `value` holds; unknown fields are left out.

    Raises pydantic.ValidationError for a value of another shape.
    """
    found: T = _adapter(kind).validate_python(value)
    return found


# Making one takes longer than using it a thousand times.
_adapters: dict[type[Any], TypeAdapter[Any]] = {}


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]
