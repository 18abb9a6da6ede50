"""Parsing and checks of URLs from clients."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from serve_app.errors import RefusedUrl
from serve_app.outbound.addresses import Address, is_public, parsed

_LONGEST = 4096
_LONGEST_SHOWN = 40
_PORTS = {"http": 80, "https": 443}
SCHEMES = frozenset(_PORTS)
# Letters, digits and hyphens (RFC 952 and 1123); names in other scripts come as xn--.
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
# Some programs read a host with such a last label as an IPv4 address.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PLAIN = re.compile(r"[!-~]+")  # Printable ASCII without blanks.


@dataclass(frozen=True)
class UrlRules:
    """The allowed URLs: their `schemes`, `hosts` and `ports`.

    A host `*.example.com` allows all names below it; no hosts allow all. No ports allow
    the default ports of the schemes. With `has_private`, private addresses are allowed
    too, as are names without a dot and all ports.
    """

    schemes: tuple[str, ...] = ("https",)
    hosts: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    has_private: bool = False


@dataclass(frozen=True)
class Target:
    """A checked URL: the host and port to connect to, and the request target."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def url(self) -> str:
        """The URL in its normal form."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.target}"


def checked(url: str, rules: UrlRules) -> Target:
    """Return the target of `url`; raise RefusedUrl, with the reason, if not allowed.

    Stricter than browsers: it refuses URLs in which programs could see different hosts.
    Names are not resolved here. IP addresses must be public unless private are allowed.
    """
    if len(url) > _LONGEST:
        raise RefusedUrl(
            f"The URL must have at most {_LONGEST} characters, got {len(url)}."
        )
    if not _PLAIN.fullmatch(url) or "\\" in url:
        raise RefusedUrl(
            "The URL must be printable ASCII without spaces and backslashes: percent-"
            "encode other characters."
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as err:
        raise RefusedUrl("The URL is invalid.") from err
    if parts.scheme not in rules.schemes or not parts.netloc:
        allowed = " or ".join(f"{scheme}://" for scheme in rules.schemes)
        raise RefusedUrl(f"{_shown(parts)!r} is not an {allowed} URL.")
    if "@" in parts.netloc:
        raise RefusedUrl("The URL must not contain a user name or a password.")
    host = _host(parts.hostname or "", "[" in parts.netloc, rules.has_private)
    _check_host(host, rules.hosts)
    port = port or _PORTS[parts.scheme]
    ports = rules.ports or [_PORTS[scheme] for scheme in rules.schemes]
    if port not in ports and not rules.has_private:
        allowed = " or ".join(map(str, ports))
        raise RefusedUrl(f"The URL's port must be {allowed}, got {port}.")
    query = f"?{parts.query}" if parts.query else ""
    return Target(parts.scheme, host, port, f"{parts.path or '/'}{query}")


def check_addresses(host: str, found: Iterable[Address]) -> list[Address]:
    """Return the addresses of a host; raise RefusedUrl unless all are public."""
    addresses = list(found)
    if not addresses or not all(map(is_public, addresses)):
        # The message leaves out the addresses, which would expose the private network.
        raise RefusedUrl(f"The host {host} does not have a public address.")
    return addresses


def _shown(parts: SplitResult) -> str:
    """Return the start of a URL, without its password and its query."""
    if parts.netloc:
        return f"{parts.scheme}://{(parts.hostname or '')[:_LONGEST_SHOWN]}"
    return f"{parts.scheme}{':' if parts.scheme else ''}{parts.path}"[:_LONGEST_SHOWN]


def _host(text: str, is_bracketed: bool, has_private: bool) -> str:
    """Return a host in lower case; raise RefusedUrl if it is invalid or private."""
    host = text.lower().removesuffix(".")
    address = parsed(host)
    if address is not None:
        if is_bracketed != (address.version == 6):
            raise RefusedUrl("The URL's host is not a valid address.")
        if not has_private:
            check_addresses(host, [address])
        return str(address)
    labels = host.split(".")
    is_name = len(host) <= 253 and all(map(_LABEL.fullmatch, labels))
    is_full = len(labels) > 1 or has_private
    if is_bracketed or not is_name or not is_full:
        raise RefusedUrl("The URL's host must be a full domain name or an IP address.")
    if _NUMBER.fullmatch(labels[-1]):
        raise RefusedUrl(
            "The URL's host must be a domain name, or an IP address in its usual "
            "notation."
        )
    return host


def _check_host(host: str, allowed: tuple[str, ...]) -> None:
    for pattern in allowed:
        if host == pattern or (pattern[:2] == "*." and host.endswith(pattern[1:])):
            return
    if allowed:
        raise RefusedUrl(f"The host {host} is not one that this server allows.")
