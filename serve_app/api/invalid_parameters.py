"""Messages for invalid parameters: what is allowed, and the value that is not."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute
from pydantic.fields import FieldInfo

NOT_JSON = "The body is not valid JSON. Correct it and send it again."
NOT_SENT_AS_JSON = (
    "The body must be a JSON object, sent with Content-Type: application/json."
)
_LONGEST_VALUE = 40
_NUMBERS = {
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a number",
}
_BOUNDS = {
    "greater_than_equal": "ge",
    "less_than_equal": "le",
    "greater_than": "gt",
    "less_than": "lt",
}


def fields_of(request: Request) -> dict[str, FieldInfo]:
    """Return the parameters of the route that `request` matched, by name."""
    route = request.scope.get("route")
    if not isinstance(route, APIRoute):
        return {}
    return {each.alias: each.field_info for each in get_flat_params(route.dependant)}


def message(error: Mapping[str, Any], fields: Mapping[str, FieldInfo]) -> str:
    """Return a sentence for one of Pydantic's errors; `fields` have the limits."""
    kind, context, name = error["type"], error.get("ctx", {}), _name(error["loc"])
    field = fields.get(name)
    subject, got = json.dumps(name, ensure_ascii=False), _value(error.get("input"))
    if isinstance(error.get("input"), bytes):
        return NOT_SENT_AS_JSON
    if kind == "missing" and tuple(error["loc"]) == ("body",):
        return "The request has no body. Send a JSON object."
    if kind == "missing":
        about = field.description if field is not None else None
        return f"{subject} is required{_continued(about)}."
    if kind == "extra_forbidden":
        return f"{subject} is not a known field."
    if kind == "literal_error":
        choices = context["expected"].replace(" or ", ", ").replace("'", "")
        return f"{subject} must be one of {choices}; got {got}."
    if kind.startswith("bool_"):
        return f"{subject} must be true or false, got {got}."
    if kind in _NUMBERS:
        return f"{subject} must be {_NUMBERS[kind]}{_limits(field, {})}, got {got}."
    if kind in _BOUNDS:
        # The input is a number: in a query, a valid one in a string.
        got = str(error["input"]).strip()[:_LONGEST_VALUE]
        return f"{subject} must be{_limits(field, context)}, got {got}."
    if kind == "model_attributes_type":
        return f"The {name} must be a JSON object, got {got}."
    said = error["msg"].removeprefix("Input should ").rstrip(".")
    if said != error["msg"].rstrip("."):
        return f"{subject} must {said}, got {got}."
    return f"{subject}: {said}, got {got}."


def _name(place: Sequence[str | int]) -> str:
    """Return a parameter's name, without the part of the request that holds it."""
    return ".".join(map(str, place[1:] or place))[:_LONGEST_VALUE]


def _value(value: object) -> str:
    if isinstance(value, str):
        return repr(value[:_LONGEST_VALUE])
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return json.dumps(value, default=str)[:_LONGEST_VALUE]


def _continued(description: str | None) -> str:
    """Return a parameter's description as the end of a sentence."""
    if not description:
        return ""
    said = f"{description[0].lower()}{description[1:].rstrip('.')}"
    return f": {said.replace('one of: ', 'one of ', 1)}"


def _limits(field: FieldInfo | None, context: Mapping[str, Any]) -> str:
    """Return the smallest and largest value in words, after a blank; "" if none."""
    known = dict(context)
    for each in field.metadata if field is not None else ():
        for bound in _BOUNDS.values():
            if (limit := getattr(each, bound, None)) is not None:
                known[bound] = limit
    if "ge" in known and "le" in known:
        return f" from {_number(known['ge'])} to {_number(known['le'])}"
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    said = [f"{words[each]} {_number(known[each])}" for each in words if each in known]
    return f" {' and '.join(said)}" if said else ""


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)
