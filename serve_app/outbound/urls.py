"""Addresses that strangers give us to ask, taken apart and checked."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from serve_app.errors import RefusedUrl
from serve_app.outbound.addresses import Address, is_public, parsed

_LONGEST = 4096
_PORTS = {"http": 80, "https": 443}
SCHEMES = frozenset(_PORTS)
# Letters, digits and hyphens (RFC 952 and 1123); names in other scripts come as xn--.
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
# What programs take for a number in one notation or another: then it is an address.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PLAIN = re.compile(r"[!-~]+")  # Printable ASCII without blanks.


@dataclass(frozen=True)
class UrlRules:
    """What may be asked: `schemes`, and `hosts`, any if there are none.

    A host `*.example.com` stands for all names below it. Only the `ports` are asked;
    without any, those of the schemes. With `has_private` our own network may be asked
    too, short names and any port included.
    """

    schemes: tuple[str, ...] = ("https",)
    hosts: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    has_private: bool = False


@dataclass(frozen=True)
class Target:
    """Where a URL leads: what to connect to, and what to ask for there."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def url(self) -> str:
        """The address in its plain form."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.target}"


def checked(url: str, rules: UrlRules) -> Target:
    """Return where `url` leads; RefusedUrl, which says why, unless `rules` allow it.

    Stricter than browsers: what could mean another host to another program is refused.
    A name is not resolved here; an address must be public unless all are allowed.
    """
    if len(url) > _LONGEST or not _PLAIN.fullmatch(url) or "\\" in url:
        raise RefusedUrl("The URL has blanks, backslashes or other unusual characters.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as err:
        raise RefusedUrl("The URL can't be read.") from err
    if parts.scheme not in rules.schemes or not parts.netloc:
        allowed = " or ".join(f"{scheme}://" for scheme in rules.schemes)
        raise RefusedUrl(f"The URL must begin with {allowed}.")
    if "@" in parts.netloc:
        raise RefusedUrl("The URL must not hold a user name or a password.")
    host = _host(parts.hostname or "", "[" in parts.netloc, rules.has_private)
    _check_host(host, rules.hosts)
    port = port or _PORTS[parts.scheme]
    ports = rules.ports or [_PORTS[scheme] for scheme in rules.schemes]
    if port not in ports and not rules.has_private:
        raise RefusedUrl(f"Port {port} is not one that is asked.")
    query = f"?{parts.query}" if parts.query else ""
    return Target(parts.scheme, host, port, f"{parts.path or '/'}{query}")


def check_addresses(host: str, found: Iterable[Address]) -> list[Address]:
    """Return the addresses that a name has; RefusedUrl unless all are public."""
    addresses = list(found)
    if not addresses or not all(map(is_public, addresses)):
        # Not which: that would tell a stranger about our network.
        raise RefusedUrl(f"{host} does not lead to a public address.")
    return addresses


def _host(text: str, is_bracketed: bool, has_private: bool) -> str:
    """Return a name in lower case, or an address that may be asked."""
    host = text.lower().removesuffix(".")
    address = parsed(host)
    if address is not None:
        if is_bracketed != (address.version == 6):
            raise RefusedUrl("The URL's host can't be read.")
        if not has_private:
            check_addresses(host, [address])
        return str(address)
    labels = host.split(".")
    is_name = len(host) <= 253 and all(map(_LABEL.fullmatch, labels))
    is_full = len(labels) > 1 or has_private
    if is_bracketed or not is_name or not is_full:
        raise RefusedUrl("The URL's host is neither a full name nor an address.")
    if _NUMBER.fullmatch(labels[-1]):
        raise RefusedUrl("The URL's host is an address in an unusual form.")
    return host


def _check_host(host: str, allowed: tuple[str, ...]) -> None:
    for pattern in allowed:
        if host == pattern or (pattern[:2] == "*." and host.endswith(pattern[1:])):
            return
    if allowed:
        raise RefusedUrl(f"{host} is not one of the hosts that are asked.")
