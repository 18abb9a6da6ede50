"""What each route requires of those who use it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from fastapi.routing import RouteContext, iter_route_contexts
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

READ, WRITE = "read", "write"
# As long as a message of SQS may be: the library takes the same over HTTP.
MAX_PLAIN_BYTES = 256 * 1024
# They change nothing (RFC 9110, section 9.2.1).
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_LINKED = ("GET", "HEAD")
# The place of the template in the scope of a request.
_TEMPLATE = "stemserve.route"


class Need(StrEnum):
    """What a route requires."""

    NOTHING = "nothing"  # everyone may use it
    SCOPE = "scope"  # credentials with the scope of its system, unless that is open
    CREDENTIALS = "credentials"  # any valid credentials, unless a system is open
    ADMIN = "admin"  # credentials with the scope `admin`
    OPERATOR = "operator"  # the same, unless access is open; no tenant
    OWN = "own"  # the route checks credentials of its own


@dataclass(frozen=True)
class RouteRule:
    """What a route requires; `system` is the one it belongs to, or "" for any.

    It `only_reads` if all its methods do. If it `is_linkable`, signed links open it.
    """

    need: Need
    system: str = ""
    only_reads: bool = False
    is_linkable: bool = False
    max_body_bytes: int = MAX_PLAIN_BYTES

    def scope(self, method: str) -> str:
        """Return the scope that a request by `method` requires, or ""."""
        if self.need in (Need.ADMIN, Need.OPERATOR):
            return "admin"
        if self.need is not Need.SCOPE:
            return ""
        reads = self.only_reads or method in SAFE_METHODS
        return f"{self.system or '*'}:{READ if reads else WRITE}"

    @property
    def needs_tenant(self) -> bool:
        """Whether a gateway must name the tenant, where one does."""
        return self.need is Need.SCOPE

    def opens_by_link(self, method: str) -> bool:
        """Whether a signed link opens the route for requests by `method`."""
        return self.is_linkable and self.need is Need.SCOPE and method in _LINKED


@dataclass(frozen=True)
class KnownRoute:
    """A requested route: its template, such as `/job/{job_id}`, and its rule."""

    template: str
    rule: RouteRule
    parameters: Mapping[str, str] = field(default_factory=dict)


class RouteRules:
    """The rules of all routes of an application."""

    def __init__(self) -> None:
        self._rules: list[tuple[BaseRoute, RouteRule]] = []
        self._index: _Index | None = None

    def add(self, routes: Sequence[BaseRoute], rule: RouteRule) -> None:
        """Apply `rule` to `routes`."""
        self._rules += [(route, rule) for route in routes]
        self._index = None

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
        found = self.find(scope)
        return None if found is None else found.rule

    def find(self, scope: Scope) -> KnownRoute | None:
        """Return the requested route, or None if there is none.

        `template_of` returns its template afterwards.
        """
        if self._index is None:
            self._index = _Index(self._rules)
        for route, template, rule in self._index.candidates(route_path(scope)):
            match, child = route.matches(scope)
            if match is Match.FULL:
                scope[_TEMPLATE] = template
                parameters = child.get("path_params", {})
                named = {name: str(value) for name, value in parameters.items()}
                return KnownRoute(template, rule, named)
        return None


def template_of(scope: Scope) -> str:
    """Return the template of the route that was found for a request, or ""."""
    return str(scope.get(_TEMPLATE, ""))


def route_path(scope: Scope) -> str:
    """Return the path of a request below the root of the application."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    return path.removeprefix(root) if path.startswith(f"{root}/") else path


class _Index:
    """Routes by the first segment of their path: most requests try two or three."""

    def __init__(self, rules: Sequence[tuple[BaseRoute, RouteRule]]) -> None:
        self._all = [
            (each, each.path or "", rule)
            for route, rule in rules
            for each in iter_route_contexts([route])
        ]
        segments = {_first_segment(path) for _, path, _ in self._all}
        self._by_segment = {
            known: [
                route
                for route in self._all
                # Templates that begin with a parameter match any segment.
                if _first_segment(route[1]) == known or route[1].startswith("/{")
            ]
            for known in segments
        }

    def candidates(self, path: str) -> Sequence[tuple[RouteContext, str, RouteRule]]:
        """Return the routes that may match a path, in their order.

        Those are all routes for an unknown segment: the router also ignores a line
        break at the end of a path, and no route may be overlooked.
        """
        return self._by_segment.get(_first_segment(path), self._all)


def _first_segment(path: str) -> str:
    return path.removeprefix("/").partition("/")[0]
