"""Requests to addresses that strangers give us."""

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import httpcore

from serve_app.errors import RefusedUrl
from serve_app.security import urls
from serve_app.security.addresses import Address, parsed
from serve_app.security.urls import Target, UrlRules

Resolve = Callable[[str, int], list[Address]]

_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 5


def resolve(host: str, port: int) -> list[Address]:
    """Return the addresses of a name; none when it has none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return []
    addresses = [parsed(str(entry[4][0])) for entry in found]
    return [address for address in addresses if address is not None]


class CheckedNetwork(httpcore.NetworkBackend):
    """Connects to public addresses only.

    A name is resolved once for each connection, and what was checked is what is
    connected to: an answer that changes in between changes nothing. TLS still asks for
    the name. `is_allowed` may let addresses pass that are not public.
    """

    def __init__(
        self,
        resolve: Resolve = resolve,
        is_allowed: Callable[[Address], bool] | None = None,
    ) -> None:
        self._resolve = resolve
        self._is_allowed = is_allowed or (lambda _: False)
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        *options: Any,
        **more: Any,
    ) -> httpcore.NetworkStream:
        """Connect to `host`; RefusedUrl when any of its addresses is not public."""
        literal = parsed(host)
        found = [literal] if literal is not None else self._resolve(host, port)
        if not found:
            raise httpcore.ConnectError(f"{host} has no address")
        suspicious = [one for one in found if not self._is_allowed(one)]
        if suspicious:
            urls.check_addresses(host, suspicious)
        failure: Exception | None = None
        for address in found:
            try:
                return self._backend.connect_tcp(str(address), port, timeout)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as err:
                failure = err
        raise failure or httpcore.ConnectError(host)


@dataclass(frozen=True)
class Answer:
    """An answer of which nothing but the head is read yet."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: Iterator[bytes]


@dataclass
class Asker:
    """Asks what `rules` allow, over a network that only reaches public addresses.

    No proxy of the environment is used: what it resolves nobody could check.
    """

    rules: UrlRules
    network: CheckedNetwork = field(default_factory=CheckedNetwork)
    connect_seconds: float = 5.0
    silence_seconds: float = 30.0

    def __post_init__(self) -> None:
        self._pool = httpcore.ConnectionPool(
            network_backend=self.network, max_connections=16, keepalive_expiry=5.0
        )

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    @contextmanager
    def get(
        self, url: str, headers: Mapping[str, str], deadline: float
    ) -> Iterator[Answer]:
        """Ask for `url`, following redirects, each of which is checked like the first.

        `deadline` is a time of `time.monotonic`. Raises RefusedUrl, and httpcore's
        errors of the network.
        """
        target = urls.checked(url, self.rules)
        for _ in range(_MOST_REDIRECTS + 1):
            with self._asked("GET", target, headers, None, deadline) as answer:
                where = answer.headers.get("location")
                if answer.status not in _REDIRECTS or where is None:
                    yield answer
                    return
            target = urls.checked(urljoin(target.url, where), self.rules)
        raise RefusedUrl(f"{url} leads on more than {_MOST_REDIRECTS} times.")

    @contextmanager
    def post(
        self, url: str, headers: Mapping[str, str], body: bytes, deadline: float
    ) -> Iterator[Answer]:
        """Send `body` to `url`; a redirect is an answer like any other."""
        target = urls.checked(url, self.rules)
        with self._asked("POST", target, headers, body, deadline) as answer:
            yield answer

    @contextmanager
    def _asked(
        self,
        method: str,
        target: Target,
        headers: Mapping[str, str],
        body: bytes | None,
        deadline: float,
    ) -> Iterator[Answer]:
        left = deadline - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("it took too long")
        timeouts = {
            "connect": min(self.connect_seconds, left),
            "read": min(self.silence_seconds, left),
            "write": min(self.silence_seconds, left),
            "pool": left,
        }
        with self._pool.stream(
            method,
            target.url,
            headers=[("User-Agent", "stemserve"), *headers.items()],
            content=body,
            extensions={"timeout": timeouts},
        ) as response:
            found = {
                name.decode("ascii", "replace").lower(): value.decode("latin-1")
                for name, value in response.headers
            }
            chunks = _until(response.iter_stream(), deadline)
            yield Answer(target.url, response.status, found, chunks)


def _until(chunks: Iterator[bytes], deadline: float) -> Iterator[bytes]:
    """Yield chunks, but no longer than that: one byte now and then is no progress."""
    for chunk in chunks:
        if time.monotonic() > deadline:
            raise httpcore.ReadTimeout("it took too long")
        yield chunk
