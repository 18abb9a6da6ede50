"""The Host that a request names, checked, and the base URL that follows from it."""

import re
from collections.abc import Sequence
from ipaddress import IPv6Address

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.api import problems
from serve_app.errors import BadRequest, MisdirectedRequest

ANY = "*"

# A name or an IPv4 address, or an IPv6 address in brackets, and perhaps a port. RFC
# 3986 has more characters: no name in use has them, and this gets into URLs.
_HOST = re.compile(r"([A-Za-z0-9._~-]{1,255}|\[([0-9A-Fa-f:.]+)\])(:([0-9]{0,5}))?")
_LARGEST_PORT = 65_535


def is_valid(host: str) -> bool:
    """Whether `host` is a host as it stands in a URL, with or without a port."""
    found = _HOST.fullmatch(host)
    if found is None or int(found[4] or 0) > _LARGEST_PORT:
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
    """Refuses requests whose Host is none, or not ours, or which have several.

    Ours are all while `allowed` is empty. Else it has names and addresses, `*.` before
    a name for all below it, `*` for any: so no web page can have its own name lead to
    this server, and read what the server says as its own (DNS rebinding). A request
    without a Host comes from no browser. It stands behind ForwardedHeaders: the host
    that a trusted proxy was asked for is the one that counts.
    """

    def __init__(self, app: ASGIApp, allowed: Sequence[str] = ()) -> None:
        self._app = app
        self._allowed = [_name(each) for each in allowed]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            error = self._refusal(Headers(scope=scope).getlist("host"))
            if error is not None:
                await problems.answer(problems.of(error))(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, named: list[str]) -> BadRequest | MisdirectedRequest | None:
        if len(named) > 1:
            return BadRequest(f"The request has {len(named)} Host headers. Send one.")
        host = named[0] if named else ""
        if not host:
            return None
        if not is_valid(host):
            return BadRequest(
                f"The Host header {host[:80]!r} is not valid. It must be a host name "
                "or an IP address, with or without a port: example.com:8000."
            )
        if self._allowed and not self._is_allowed(_name(host)):
            return MisdirectedRequest(
                f"This server does not answer for the host {host[:80]!r}. Its operator "
                "can allow it: see STEMSERVE_ALLOWED_HOSTS and STEMSERVE_PUBLIC_URL."
            )
        return None

    def _is_allowed(self, name: str) -> bool:
        return any(
            allowed in (ANY, name)
            or (allowed.startswith("*.") and name.endswith(allowed[1:]))
            for allowed in self._allowed
        )


def _name(host: str) -> str:
    """Return a host without port and brackets, as names are compared."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    name = host if host.count(":") > 1 else host.partition(":")[0]
    return name.lower().rstrip(".")


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
