"""Who sends a request: a tenant, as a gateway names it, or a peer's address."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network

from starlette.datastructures import Headers
from starlette.types import Scope

from serve_app.api.forwarding import read_address

# What is left of a name of any length is exactly as long as a digest in hexadecimal,
# and none that is kept as it is: no two tenants are ever one.
_KEPT_NAME = re.compile(r"[!-~]{1,63}")
# Combined header lines (RFC 9110, section 5.3) are separated by it.
_SEPARATOR = ","
# What one customer of an IPv6 network gets at least (RFC 6177).
_IPV6_PREFIX_BITS = 64


@dataclass(frozen=True)
class Client:
    """Whom a request is counted for, and whose the jobs are that it makes.

    `name` is up to 64 visible ASCII characters: it goes into logs and the database.
    """

    name: str
    is_tenant: bool

    @property
    def tenant(self) -> str:
        """The owner of what the client makes; empty where all clients are one."""
        return self.name if self.is_tenant else ""


def of(scope: Scope, tenant_header: str) -> Client:
    """Return the tenant that the header names, or else the peer.

    Without a `tenant_header` there are peers only. A header that is empty or came more
    than once names nobody. IPv6 peers count by their /64.
    """
    if tenant_header:
        named = _tenant(Headers(scope=scope).getlist(tenant_header))
        if named:
            return Client(named, is_tenant=True)
    return Client(_peer(scope), is_tenant=False)


def _tenant(values: Sequence[str]) -> str:
    """Return the name that a header gives, or its digest; empty if it gives none."""
    # Servers leave no other white space around a value, and any is part of a name.
    name = values[0].strip(" \t") if len(values) == 1 else ""
    if not name or _SEPARATOR in name:
        return ""
    if _KEPT_NAME.fullmatch(name):
        return name
    return hashlib.sha256(name.encode()).hexdigest()


def _peer(scope: Scope) -> str:
    """Return the peer's address; `unknown` where it has none, as on a Unix socket."""
    address = read_address((scope.get("client") or ("", 0))[0])
    if address is None:
        return "unknown"
    if isinstance(address, IPv6Address):
        network = IPv6Network((int(address), _IPV6_PREFIX_BITS), strict=False)
        return str(network)
    return str(address)
