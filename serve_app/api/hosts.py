"""The Host header: its check, and the base URL of a request."""

import re
from collections.abc import Sequence
from ipaddress import IPv6Address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.api import problems
from serve_app.errors import BadRequest, MisdirectedRequest

ANY = "*"

# A name, an IPv4 address or an IPv6 address in brackets, with an optional port. Other
# characters that RFC 3986 allows are refused: no real name has them, and the host goes
# into URLs.
_HOST = re.compile(r"([A-Za-z0-9._~-]{1,255}|\[([0-9A-Fa-f:.]+)\])(:([0-9]{0,5}))?")
_LARGEST_PORT = 65_535


def is_valid(host: str) -> bool:
    """Whether `host` is valid in a URL, with or without a port."""
    found = _HOST.fullmatch(host)
    if found is None or int(found[4] or 0) > _LARGEST_PORT:
        return False
    return found[2] is None or _is_ipv6(found[2])


def base_url(scope: Scope) -> str:
    """Return the URL of the application's root, as the request addressed it.

    For a client that sends no Host it is the server's own address.
    """
    host = Headers(scope=scope).get("host") or _own(scope)
    return f"{scope.get('scheme', 'http')}://{host}{root_path(scope)}"


def root_path(scope: Scope, public_url: str = "") -> str:
    """Return the path of the application's root, as the client addressed it.

    It is that of `public_url` for requests to its host: a proxy may have removed it.
    """
    public = urlsplit(public_url)
    host = Headers(scope=scope).get("host", "")
    if public_url and host.lower() == public.netloc.lower():
        return public.path.rstrip("/")
    path: str = scope.get("root_path", "")
    return path.rstrip("/")


class CheckedHost:
    """Refuse requests with an invalid, a repeated or a disallowed Host header.

    `allowed` holds names and addresses; `*.example.com` allows all names below
    example.com, `*` and an empty list allow any host. This prevents DNS rebinding,
    where a web page points its own name at this server and reads its responses. A
    request without a Host is allowed: no browser sends one. It runs after
    ForwardedHeaders, so the host that a trusted proxy received counts.
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
            return BadRequest(
                f"The Host header must be present once, got {len(named)}. Send one."
            )
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
                f"The host {host[:80]!r} is not allowed on this server. The operator "
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
    """Return a host in lower case, without port and brackets, for comparison."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    name = host if host.count(":") > 1 else host.partition(":")[0]
    return name.lower().rstrip(".")


def _own(scope: Scope) -> str:
    """Return the server's address at which the request arrived."""
    host, port = scope.get("server") or ("localhost", None)
    if port is None:
        # A Unix socket has a path, not a host.
        return "localhost"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True
