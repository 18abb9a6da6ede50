"""The services that the routes of all systems share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from serve_app.api.door import Door, OpenDoor
from serve_app.api.middleware import OnRequest, Trace
from serve_app.api.streams import Streams
from serve_app.idempotency.response import StoredResponse


class StoredResponses(Protocol):
    """The kept responses to idempotent requests."""

    def find(self, request_id: str) -> StoredResponse | None:
        """Return the kept response to a request, or None if none is kept."""

    def keep(self, answer: StoredResponse) -> StoredResponse | None:
        """Keep a response and return None, or return the one that is kept already."""


@dataclass(frozen=True)
class Services:
    """The services and settings that all systems of an application share.

    `public_url` is the URL at which clients reach the service, without a final slash;
    if it is empty, the address of each request is used. X-Forwarded-* headers of
    `trusted_proxies` (addresses and networks) are used. Requests may name
    `allowed_hosts` only; if it is empty, any host. The `door` decides which requests
    may come in. With `has_pieces` the server's proxy requests files in pieces.
    `max_ongoing_requests` is how many requests the server takes at once; long ones get
    shares of it, and `streams` ends them. `on_request` gets the end of each request,
    and `trace` begins to trace one. `home` is the path of a page that browsers are
    redirected to from the root, or empty.
    """

    answers: StoredResponses
    clock: Callable[[], datetime]
    max_ongoing_requests: int = 512
    cors_origins: tuple[str, ...] = ("*",)
    public_url: str = ""
    trusted_proxies: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    has_pieces: bool = True
    door: Door = field(default_factory=OpenDoor)
    on_request: OnRequest = lambda _: None
    trace: Trace | None = None
    streams: Streams = field(default_factory=Streams)
    home: str = ""
