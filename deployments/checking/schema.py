"""Kubernetes objects against the schemas of their kinds, strictly.

The files in `schemas/` are those of the custom resource definitions, which
`tools/crd_schemas.py` writes.
"""

import json
from collections.abc import Iterator, Mapping, Set
from functools import cache
from importlib import resources
from typing import Any

from jsonschema import Draft202012Validator, ValidationError

from deployments.checking.fault import Fault, Place, hint, shown, written

_FOLDER = "schemas"
# How the schemas recognise amounts of CPU and memory.
_QUANTITY = "numkMGTPE"
_TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "empty",
}


def known_kinds() -> Set[str]:
    """Return the kinds that have a schema."""
    return _schemas().keys()


def faults(manifest: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield what is wrong in an object of a known kind."""
    schema = _schemas()[manifest["kind"]]
    for error in Draft202012Validator(schema).iter_errors(manifest):
        yield from faults_of(error)


def faults_of(error: ValidationError) -> Iterator[Fault]:
    """Yield a fault for each value that an error of jsonschema is about."""
    place: Place = tuple(error.absolute_path)
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        for name in error.instance:
            if name not in known:
                yield _unknown((*place, name), known)
    elif error.validator == "required":
        for name in error.validator_value:
            if name not in error.instance and f"'{name}'" in error.message:
                here = (*place, name)
                yield Fault(here, f"`{written(here)}` is required.")
    else:
        name, value = written(place) or "the object", shown(error.instance)
        yield Fault(place, f"`{name}` must {_allowed(error)}, got {value}.")


def _unknown(place: Place, known: Mapping[str, Any]) -> Fault:
    return Fault(place, f"unknown field `{written(place)}`.{hint(place[-1], known)}")


def _allowed(error: ValidationError) -> str:
    """Return what a value must do, in words that continue "must"."""
    rule = error.validator_value
    match error.validator:
        case "type":
            types = [rule] if isinstance(rule, str) else rule
            return f"be {' or '.join(_TYPES[each] for each in types)}"
        case "enum":
            return f"be one of {', '.join(map(str, rule))}"
        case "pattern" if _QUANTITY in rule:
            return "be an amount such as 2, 500m or 8Gi"
        case "pattern":
            return f"match {rule}"
        case "minimum":
            return f"be at least {rule}"
        case "maximum":
            return f"be at most {rule}"
        case _:
            return f"fit the schema's {error.validator} {shown(rule)}"


@cache
def _schemas() -> Mapping[str, Any]:
    """Return the schemas by kind."""
    folder = resources.files(__package__) / _FOLDER
    files = [each for each in folder.iterdir() if each.name.endswith(".json")]
    return {
        each.name.removesuffix(".json"): json.loads(each.read_text())["schema"]
        for each in files
    }
