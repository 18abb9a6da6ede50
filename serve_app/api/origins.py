"""Which web pages may change something: those of our origin, and of configured ones."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.api import hosts, problems
from serve_app.api.part import ApiPart
from serve_app.errors import ForeignOrigin

# By these nothing changes; whether a page may read the answer, its browser decides by
# the CORS headers.
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class OriginsByRoute:
    """Which origins may use a route: those of its part, or else those of all.

    Filled after the application has its routes, which its middleware comes before.
    """

    def __init__(self, origins: tuple[str, ...]) -> None:
        self._origins = origins
        self._of_routes: list[tuple[Sequence[BaseRoute], tuple[str, ...]]] = []

    def add(self, part: ApiPart, routes: Sequence[BaseRoute]) -> None:
        """Let only the origins of a part use its routes, if it has any of its own."""
        if part.cors_origins is not None:
            self._of_routes.append((routes, part.cors_origins))

    def of(self, scope: Scope) -> tuple[str, ...]:
        """Return the origins that may use the route of a request."""
        if scope["type"] == "http":
            for routes, origins in self._of_routes:
                # By its path: a preflight has a method of its own.
                if any(route.matches(scope)[0] is not Match.NONE for route in routes):
                    return origins
        return self._origins


class CheckedOrigin:
    """Refuses what pages of strangers would change, before anything is read of it.

    Of a request that a form could send a browser does not ask first (CORS): it sends it
    and keeps only the answer from the page. `origins` may call, and so may the server's
    own pages: those of the host that the request names, and of `public_url`. A request
    without an Origin comes from no page.
    """

    def __init__(
        self, app: ASGIApp, origins: OriginsByRoute, public_url: str = ""
    ) -> None:
        self._app = app
        self._origins = origins
        self._public_host = _host(public_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in _SAFE_METHODS:
            headers = Headers(scope=scope)
            origin = headers.get("origin")
            if origin is not None and not self._may_call(origin, headers, scope):
                problem = problems.of(_refused(origin))
                await problems.answer(problem)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _may_call(self, origin: str, headers: Headers, scope: Scope) -> bool:
        origins = self._origins.of(scope)
        if hosts.ANY in origins or origin in origins:
            return True
        # Not by its scheme: a proxy that ends TLS need not say so.
        own = {self._public_host, headers.get("host", "").lower()} - {""}
        return _host(origin) in own


def _host(url: str) -> str:
    """Return host and port of a URL or an origin; empty for an origin of none."""
    return url.partition("://")[2].partition("/")[0].lower()


def _refused(origin: str) -> ForeignOrigin:
    return ForeignOrigin(
        f"Pages of the origin {origin[:80]!r} may not use this server. Its operator "
        "can allow it: see STEMSERVE_CORS_ORIGINS, or STEMSERVE_PUBLIC_URL where the "
        "page is this server's own."
    )
