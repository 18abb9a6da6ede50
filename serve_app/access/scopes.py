"""Scopes: what credentials allow, as `system:verb`."""

import re
from collections.abc import Iterable

from serve_app.api.route_rules import READ, WRITE
from serve_app.errors import InvalidInput

ADMIN = "admin"
ANY = "*"
EVERYTHING = frozenset({f"{ANY}:{READ}", f"{ANY}:{WRITE}"})

_SCOPE = re.compile(r"(\*|[a-z][a-z0-9_.-]{0,40}):(\*|read|write)")


def parsed(values: Iterable[str]) -> frozenset[str]:
    """Return valid scopes in their normal form: `stems:*` becomes read and write.

    Raises InvalidInput, with what is allowed.
    """
    found = set[str]()
    for value in values:
        match = _SCOPE.fullmatch(value)
        if value == ADMIN:
            found.add(ADMIN)
        elif match is None:
            raise InvalidInput(
                f"{value[:60]!r} is not a scope. A scope is `admin`, or a system and "
                "`read` or `write`, such as `stems:read`, `stems:*` or `*:write`."
            )
        else:
            system, verb = match.groups()
            verbs = (READ, WRITE) if verb == ANY else (verb,)
            found |= {f"{system}:{each}" for each in verbs}
    if not found:
        raise InvalidInput("At least one scope is required, such as `stems:*`.")
    return frozenset(found)


def allow(scopes: frozenset[str], required: str) -> bool:
    """Whether `scopes` allow what requires the scope `required`.

    `admin` allows everything. `*:read` is required by what any system's scope allows.
    """
    if ADMIN in scopes or required in scopes:
        return True
    if required == ADMIN:
        return False
    system, _, verb = required.partition(":")
    if system == ANY:
        return any(each.endswith(f":{verb}") for each in scopes)
    return f"{ANY}:{verb}" in scopes
