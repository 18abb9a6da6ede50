"""The X-Forwarded-* headers of trusted proxies."""

from collections.abc import Sequence
from ipaddress import (
    IPv4Address,
    IPv6Address,
    ip_address,
    ip_network,
)

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.api import hosts

Address = IPv4Address | IPv6Address

# In the scope of a request: a trusted proxy sent it.
_TRUSTED = "stemserve.trusted_peer"


class ForwardedHeaders:
    """Set a request's client, scheme and host to those the outermost proxy received.

    `trusted` holds addresses and networks; `*` is every address. X-Forwarded-For,
    -Proto and -Host of all other peers are ignored. Each trusted proxy of a chain
    appends to the lists: the entry of the outermost one is used, and entries before
    it are ignored, because the client may have forged them.
    """

    def __init__(self, app: ASGIApp, trusted: Sequence[str] = ()) -> None:
        self._app = app
        self._trusts_all = hosts.ANY in trusted
        self._networks = [
            ip_network(each, strict=False) for each in trusted if each != hosts.ANY
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_on = self._trusts_all or self._networks
        if scope["type"] == "http" and is_on and scope.get("client"):
            scope = self._as_sent(scope)
        await self._app(scope, receive, send)

    def _as_sent(self, scope: Scope) -> Scope:
        """Return the scope as if the client were connected without its proxies."""
        headers = Headers(scope=scope)
        hops = [*_values(headers, "x-forwarded-for"), scope["client"][0]]
        proxies = self._count_trusted(hops)
        if proxies == 0:
            return scope
        changed = {**scope, _TRUSTED: True}
        client = read_address(hops[max(0, len(hops) - 1 - proxies)])
        if client is not None:
            changed["client"] = (str(client), 0)
        scheme = _added(_values(headers, "x-forwarded-proto"), proxies).lower()
        if scheme in ("http", "https"):
            changed["scheme"] = scheme
        host = _added(_values(headers, "x-forwarded-host"), proxies)
        if hosts.is_valid(host):
            others = [pair for pair in scope["headers"] if pair[0] != b"host"]
            changed["headers"] = [(b"host", host.encode()), *others]
        return changed

    def _count_trusted(self, hops: list[str]) -> int:
        """Return how many of the last `hops`, one after the other, are trusted."""
        for count, hop in enumerate(reversed(hops)):
            if not self._is_trusted(read_address(hop)):
                return count
        return len(hops)

    def _is_trusted(self, address: Address | None) -> bool:
        if address is None:
            return False
        return self._trusts_all or any(address in each for each in self._networks)


def is_trusted(scope: Scope) -> bool:
    """Return whether a trusted proxy sent a request."""
    return bool(scope.get(_TRUSTED, False))


def _values(headers: Headers, name: str) -> list[str]:
    """Return the entries of a header that is a list, on one or several lines."""
    entries = ",".join(headers.getlist(name)).split(",")
    return [entry.strip() for entry in entries if entry.strip()]


def _added(values: list[str], proxies: int) -> str:
    """Return the entry of the outermost of `proxies`; empty if there is none.

    Some proxies append to the list, others keep the first proxy's value.
    """
    return values[max(0, len(values) - proxies)] if values else ""


def read_address(text: str) -> Address | None:
    """Read `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` or `[2001:db8::1]:80`."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # A server that listens on `::` sees an IPv4 peer as a mapped address.
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
