"""What each route requires of those who use it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from starlette.routing import BaseRoute, Match
from starlette.types import Scope

READ, WRITE = "read", "write"
_READING = ("GET", "HEAD", "OPTIONS")


class Need(StrEnum):
    """What a route requires."""

    NOTHING = "nothing"  # everyone may use it
    SCOPE = "scope"  # credentials with the scope of its system, unless that is open
    ADMIN = "admin"  # credentials with the scope `admin`
    OWN = "own"  # the route checks credentials of its own


@dataclass(frozen=True)
class RouteRule:
    """What a route requires; `system` is the one it belongs to, or "" for any."""

    need: Need
    system: str = ""

    def scope(self, method: str) -> str:
        """Return the scope that a request by `method` requires, or ""."""
        if self.need is Need.ADMIN:
            return "admin"
        if self.need is not Need.SCOPE:
            return ""
        return f"{self.system or '*'}:{READ if method in _READING else WRITE}"


class RouteRules:
    """The rules of all routes of an application."""

    def __init__(self) -> None:
        self._rules: list[tuple[BaseRoute, RouteRule]] = []

    def add(self, routes: Sequence[BaseRoute], rule: RouteRule) -> None:
        """Apply `rule` to `routes`."""
        self._rules += [(route, rule) for route in routes]

    def check(self, routes: Sequence[BaseRoute]) -> None:
        """Raise ValueError if one of `routes` has no rule."""
        known = {id(route) for route, _ in self._rules}
        for route in routes:
            if id(route) not in known:
                raise ValueError(f"the route {route!r} has no rule")

    def of(self, scope: Scope) -> RouteRule | None:
        """Return the rule of the requested route, or None if there is none.

        Of a path whose methods have different rules, it is that of the method.
        """
        for route, rule in self._rules:
            if route.matches(scope)[0] is Match.FULL:
                return rule
        return None
