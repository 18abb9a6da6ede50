"""The check of Origin: which web pages may send requests that change something."""

import re
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.api import hosts, problems
from serve_app.api.part import ApiPart
from serve_app.api.route_rules import SAFE_METHODS
from serve_app.errors import ForeignOrigin

# An origin that ends with this stands for all ports of its host, and for none.
_ANY_PORT = ":*"


def any_port_pattern(origins: tuple[str, ...]) -> str | None:
    """Return the pattern of those `origins` that may have any port, or None."""
    names = [
        re.escape(each.removesuffix(_ANY_PORT))
        for each in origins
        if each.endswith(_ANY_PORT)
    ]
    return rf"({'|'.join(names)})(:[0-9]{{1,5}})?" if names else None


def is_listed(origin: str, origins: tuple[str, ...]) -> bool:
    """Whether `origins` allow an origin."""
    if hosts.ANY in origins or origin in origins:
        return True
    pattern = any_port_pattern(origins)
    return pattern is not None and re.fullmatch(pattern, origin) is not None


class OriginsByRoute:
    """The origins that may use each route: those of its system, or else the default.

    /health, which the systems share, may be read by the origins of each of them. It
    is filled after the routes are added; the middleware is created before them.
    """

    def __init__(self, origins: tuple[str, ...]) -> None:
        self._origins = origins
        self._of_routes: list[tuple[Sequence[BaseRoute], tuple[str, ...]]] = []
        self._shared: Sequence[BaseRoute] = ()

    def share(self, routes: Sequence[BaseRoute]) -> None:
        """Let the origins of all parts read `routes`."""
        self._shared = tuple(routes)

    def add(self, part: ApiPart, routes: Sequence[BaseRoute]) -> None:
        """Restrict the routes of a part to its `cors_origins`, if it has any."""
        if part.cors_origins is not None:
            self._of_routes.append((routes, part.cors_origins))

    def of(self, scope: Scope) -> tuple[str, ...]:
        """Return the origins that may use the requested route."""
        if scope["type"] == "http":
            for routes, origins in self._of_routes:
                # By the path alone: the method of a preflight is OPTIONS.
                if _has(routes, scope):
                    return origins
            if _has(self._shared, scope):
                return self._of_reader(Headers(scope=scope).get("origin", ""))
        return self._origins

    def _of_reader(self, origin: str) -> tuple[str, ...]:
        """Return the origins for a shared route: those of a part that allows it."""
        if is_listed(origin, self._origins):
            return self._origins
        of_parts = (origins for _, origins in self._of_routes)
        return next(
            (each for each in of_parts if is_listed(origin, each)), self._origins
        )


class CheckedOrigin:
    """Refuse state-changing requests of disallowed origins, before reading their body.

    A browser sends a request that a form could send without a preflight, and only hides
    the response from the page (CORS). Allowed are `origins` and the server's own pages:
    those of the requested host and of `public_url`. A request without an Origin is
    allowed: no page sent it.
    """

    def __init__(
        self, app: ASGIApp, origins: OriginsByRoute, public_url: str = ""
    ) -> None:
        self._app = app
        self._origins = origins
        self._public_host = _host(public_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in SAFE_METHODS:
            headers = Headers(scope=scope)
            origin = headers.get("origin")
            if origin is not None and not self._may_call(origin, headers, scope):
                problem = problems.of(_refused(origin))
                await problems.answer(problem)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _may_call(self, origin: str, headers: Headers, scope: Scope) -> bool:
        origins = self._origins.of(scope)
        if is_listed(origin, origins):
            return True
        # The scheme is not compared: a proxy that terminates TLS may not forward it.
        own = {self._public_host, headers.get("host", "").lower()} - {""}
        return _host(origin) in own


def _has(routes: Sequence[BaseRoute], scope: Scope) -> bool:
    return any(route.matches(scope)[0] is not Match.NONE for route in routes)


def _host(url: str) -> str:
    """Return host and port of a URL or an origin; empty for the origin `null`."""
    return url.partition("://")[2].partition("/")[0].lower()


def _refused(origin: str) -> ForeignOrigin:
    return ForeignOrigin(
        f"The origin {origin[:80]!r} is not allowed on this server. The operator can "
        "allow it: see STEMSERVE_CORS_ORIGINS, or STEMSERVE_PUBLIC_URL if the page is "
        "this server's own."
    )
