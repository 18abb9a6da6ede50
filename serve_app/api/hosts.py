"""The Host that a request names, checked, and the base URL that follows from it."""

import re
from ipaddress import IPv6Address

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.api import problems
from serve_app.errors import BadRequest

# A name or an IPv4 address, or an IPv6 address in brackets, and perhaps a port. RFC
# 3986 has more characters: no name in use has them, and this gets into URLs.
_HOST = re.compile(r"([A-Za-z0-9._~-]{1,255}|\[([0-9A-Fa-f:.]+)\])(:[0-9]{1,5})?")


def is_valid(host: str) -> bool:
    """Whether `host` is a host as it stands in a URL, with or without a port."""
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    return found[2] is None or _is_ipv6(found[2])


def base_url(scope: Scope) -> str:
    """Return the URL of the application's root, as the request addressed it.

    That is the server's own address for the old clients that name no host.
    """
    host = Headers(scope=scope).get("host") or _own(scope)
    root_path = scope.get("root_path", "").rstrip("/")
    return f"{scope.get('scheme', 'http')}://{host}{root_path}"


class CheckedHost:
    """Refuses requests whose Host is none, or which have several (RFC 9112, 3.2)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            named = Headers(scope=scope).getlist("host")
            if len(named) > 1 or (named and named[0] and not is_valid(named[0])):
                await problems.answer(problems.of(_refused(named)))(
                    scope, receive, send
                )
                return
        await self._app(scope, receive, send)


def _refused(named: list[str]) -> BadRequest:
    if len(named) > 1:
        return BadRequest(f"The request has {len(named)} Host headers. Send one.")
    return BadRequest(
        f"The Host header {named[0][:80]!r} is not valid. It must be a host name or "
        "an IP address, with or without a port: example.com:8000."
    )


def _own(scope: Scope) -> str:
    """Return the address at which the server took the request."""
    host, port = scope.get("server") or ("localhost", None)
    if port is None:
        # What a Unix socket has is a path.
        return "localhost"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True
