"""The HTTP client for requests to URLs from clients."""

import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import httpcore

from serve_app.errors import Cancelled, RefusedUrl, UnreachableUrl
from serve_app.outbound import urls
from serve_app.outbound.addresses import Address, parsed
from serve_app.outbound.urls import Target, UrlRules

Resolve = Callable[[str, int], list[Address]]

_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 5
# The errors of a request to which no complete response arrived.
NO_RESPONSE = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
)
# How often `is_wanted` is checked while a server sends nothing.
_POLL_SECONDS = 0.25


@dataclass
class _Patience:
    """How long the current request may take: until `deadline`, while it is wanted."""

    deadline: float
    is_wanted: Callable[[], bool]

    def left(self, timeout: float | None) -> float:
        """Return `timeout`, or the time left until the deadline if that is shorter."""
        if not self.is_wanted():
            raise Cancelled("The request was cancelled.")
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the request timed out")
        return min(timeout or left, left)


_patience: ContextVar[_Patience] = ContextVar("patience")


def resolve(host: str, port: int) -> list[Address]:
    """Return the addresses of a host name, or an empty list if it has none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return []
    addresses = [parsed(str(entry[4][0])) for entry in found]
    return [address for address in addresses if address is not None]


class CheckedNetwork(httpcore.NetworkBackend):
    """A network backend that connects to public addresses only.

    It resolves a name once for each connection and connects to the address that it
    checked, so DNS rebinding has no effect. TLS still verifies the name. `is_allowed`
    can allow addresses that are not public.
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
        """Connect to `host`; raise RefusedUrl if any of its addresses is not public."""
        literal = parsed(host)
        found = [literal] if literal is not None else self._resolve(host, port)
        if not found:
            raise httpcore.ConnectError(f"the host {host} has no address")
        suspicious = [one for one in found if not self._is_allowed(one)]
        if suspicious:
            urls.check_addresses(host, suspicious)
        failure: Exception | None = None
        for address in found:
            try:
                left = _patience.get().left(timeout)
                return _Timed(self._backend.connect_tcp(str(address), port, left))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as err:
                failure = err
        raise failure or httpcore.ConnectError(host)


class _Timed(httpcore.NetworkStream):
    """A stream that enforces its request's deadline on each operation.

    A server that sends a byte now and then would never reach a read timeout.
    """

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        patience = _patience.get()
        end = time.monotonic() + patience.left(timeout)
        while True:
            left = patience.left(end - time.monotonic())
            try:
                # A timeout of a socket loses no bytes: it can be read again.
                return self._stream.read(max_bytes, min(left, _POLL_SECONDS))
            except httpcore.ReadTimeout:
                if time.monotonic() >= end:
                    raise

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _patience.get().left(timeout))

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = _patience.get().left(timeout)
        return _Timed(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def close(self) -> None:
        self._stream.close()


@dataclass(frozen=True)
class OutboundResponse:
    """A response; its `body` has not been read yet."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: Iterator[bytes]

    def prolong(self, deadline: float) -> None:
        """Move the deadline of the rest of the body, a time of `time.monotonic`."""
        _patience.get().deadline = deadline


@dataclass
class OutboundClient:
    """An HTTP client for URLs that `rules` allow, which only reaches public addresses.

    It ignores proxies in the environment, since a proxy resolves names unchecked. More
    than `max_connections` requests at once wait for each other.
    """

    rules: UrlRules
    network: CheckedNetwork = field(default_factory=CheckedNetwork)
    connect_timeout_seconds: float = 5.0
    read_timeout_seconds: float = 30.0
    max_connections: int = 16

    def __post_init__(self) -> None:
        self._pool = httpcore.ConnectionPool(
            network_backend=self.network,
            max_connections=self.max_connections,
            keepalive_expiry=5.0,
        )

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    @contextmanager
    def get(
        self,
        url: str,
        headers: Mapping[str, str],
        deadline: float,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> Iterator[OutboundResponse]:
        """Send GET to `url`; follow redirects, each checked like the first URL.

        `deadline` is a time of `time.monotonic`. Raises RefusedUrl, httpcore's network
        errors, and Cancelled soon after `is_wanted` returns False.
        """
        patience = _Patience(deadline, is_wanted)
        target = urls.checked(url, self.rules)
        for _ in range(_MOST_REDIRECTS + 1):
            with self._request("GET", target, headers, None, patience) as answer:
                where = answer.headers.get("location")
                if answer.status not in _REDIRECTS or where is None:
                    yield answer
                    return
            target = urls.checked(_joined(target.url, where), self.rules)
        raise RefusedUrl(f"The URL redirects more than {_MOST_REDIRECTS} times: {url}")

    @contextmanager
    def post(
        self, url: str, headers: Mapping[str, str], body: bytes, deadline: float
    ) -> Iterator[OutboundResponse]:
        """Send POST with `body` to `url`; a redirect is returned, not followed.

        Raises RefusedUrl, and UnreachableUrl if no response arrives in time.
        """
        target = urls.checked(url, self.rules)
        patience = _Patience(deadline, lambda: True)
        try:
            with self._request("POST", target, headers, body, patience) as answer:
                yield answer
        except NO_RESPONSE as err:
            reason = str(err) or type(err).__name__
            raise UnreachableUrl(f"The URL is unreachable: {reason}.") from err

    @contextmanager
    def _request(
        self,
        method: str,
        target: Target,
        headers: Mapping[str, str],
        body: bytes | None,
        patience: _Patience,
    ) -> Iterator[OutboundResponse]:
        outer = _patience.set(patience)
        try:
            timeouts = {
                "connect": self.connect_timeout_seconds,
                "read": self.read_timeout_seconds,
                "write": self.read_timeout_seconds,
                "pool": patience.left(self.read_timeout_seconds),
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
                chunks = response.iter_stream()
                yield OutboundResponse(target.url, response.status, found, chunks)
        finally:
            _patience.reset(outer)


def _joined(base: str, location: str) -> str:
    """Return the URL of a redirect; raise RefusedUrl if it is invalid."""
    try:
        return urljoin(base, location)
    except ValueError as err:
        raise RefusedUrl(
            f"The URL redirects to {location[:80]!r}, which is not a valid URL."
        ) from err
