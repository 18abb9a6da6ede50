"""The client of a request: a tenant that a gateway names, or the peer's address."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv6Address, IPv6Network

from starlette.datastructures import Headers
from starlette.types import Scope

from serve_app.api.forwarding import read_address
from serve_app.usage.quotas import NO_QUOTAS, Quotas

# Names of up to 63 characters are used as they are, others by their digest of 64
# hexadecimal digits. The lengths differ, so two tenants never get the same name.
_KEPT_NAME = re.compile(r"[!-~]{1,63}")
# Separates combined header lines (RFC 9110, section 5.3).
_SEPARATOR = ","
# The smallest network that an IPv6 customer gets (RFC 6177).
_IPV6_PREFIX_BITS = 64


@dataclass(frozen=True)
class Client:
    """The client that limits are counted for and that owns the jobs it creates.

    `name` is up to 64 visible ASCII characters. It goes into logs and the database.
    `credential` names the credentials it was recognised by, such as `key:k3x9…`, or is
    empty; `scopes` are what they allow, and `quotas` limit the client. A client that
    came in by a link has the time at which that expires.
    """

    name: str
    is_tenant: bool
    credential: str = ""
    scopes: frozenset[str] = frozenset()
    expires_at: datetime | None = None
    quotas: Quotas = NO_QUOTAS

    @property
    def tenant(self) -> str:
        """The owner of what the client creates; empty for a peer."""
        return self.name if self.is_tenant else ""


def of(scope: Scope, tenant_header: str) -> Client:
    """Return the tenant that the header names, or else the peer.

    Without a `tenant_header`, all clients are peers. An empty or repeated header names
    no tenant. IPv6 peers are identified by their /64 network.
    """
    if tenant_header:
        named = _tenant(Headers(scope=scope).getlist(tenant_header))
        if named:
            return Client(named, is_tenant=True)
    return peer(scope)


def peer(scope: Scope) -> Client:
    """Return the client at the other end of the connection, by its address."""
    return Client(_peer(scope), is_tenant=False)


def _tenant(values: Sequence[str]) -> str:
    """Return the tenant's name or its digest; empty if the header names no tenant."""
    # HTTP servers strip spaces and tabs only; other white space is part of the name.
    name = values[0].strip(" \t") if len(values) == 1 else ""
    if not name or _SEPARATOR in name:
        return ""
    return tenant_name(name)


def tenant_name(name: str) -> str:
    """Return the name under which a tenant's jobs are stored: up to 64 characters."""
    if _KEPT_NAME.fullmatch(name):
        return name
    return hashlib.sha256(name.encode()).hexdigest()


def _peer(scope: Scope) -> str:
    """Return the peer's address, or `unknown` if it has none (a Unix socket)."""
    address = read_address((scope.get("client") or ("", 0))[0])
    if address is None:
        return "unknown"
    if isinstance(address, IPv6Address):
        network = IPv6Network((int(address), _IPV6_PREFIX_BITS), strict=False)
        return str(network)
    return str(address)
