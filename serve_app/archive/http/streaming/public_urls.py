"""URLs of this server: those that it writes, and those that clients give it."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from starlette.types import Scope

from serve_app.api import hosts

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class PublicUrls:
    """The bases of this server's URLs: the one that it writes is the first."""

    bases: Sequence[str]

    def proxied(self, url: str) -> str:
        """Return the URL at which players get what is at `url`."""
        return f"{self.bases[0]}/proxy?url={quote(url, safe='')}"

    def own_path(self, url: str) -> str | None:
        """Return the path that a URL has on this server, or None if it is another's."""
        for base in self.bases:
            known, asked = _place(base), _place(url)
            if known is None or asked is None or known[:2] != asked[:2]:
                continue
            if asked[2].startswith(f"{known[2]}/"):
                return unquote(asked[2].removeprefix(known[2]))
        return None


def of_request(scope: Scope, public_url: str) -> PublicUrls:
    """Return the URLs for the client of a request.

    `public_url` is the operator's setting. Without it, the base is the URL that the
    request was sent to.
    """
    asked = hosts.base_url(scope)
    return PublicUrls([public_url.rstrip("/"), asked] if public_url else [asked])


def has_host(url: str) -> bool:
    """Whether a URL is one of http or https with a host."""
    return _place(url) is not None


def _place(url: str) -> tuple[str, int, str] | None:
    """Return the host, the port and the path of a URL.

    The ports of http and https count as one: a proxy may end TLS and not say so.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname:
        return None
    port = _PORTS["https"] if port is None or port in _PORTS.values() else port
    return parts.hostname.lower(), port, parts.path
