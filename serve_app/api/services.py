"""What the routes of every system are given to work with."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from serve_app.idempotency.response import Answer


class Answers(Protocol):
    """What requests that may be sent twice were answered."""

    def find(self, request_id: str) -> Answer | None:
        """Return what a request was answered, if it was and not too long ago."""

    def keep(self, answer: Answer) -> Answer | None:
        """Keep an answer, unless the request has one, which is returned then."""


@dataclass(frozen=True)
class Services:
    """What all systems of an application share.

    `public_url` is where clients reach the service, without a slash at its end; empty
    where each request's own address is used. `trusted_proxies` are the addresses and
    networks whose X-Forwarded-* headers count. `allowed_hosts` are the hosts that
    requests may name, any if empty. `tenant_header` names the header that says whose a
    request is; empty where all clients are one. `max_ongoing_requests` is what the
    server takes at once; long ones get parts of it.
    """

    answers: Answers
    clock: Callable[[], datetime]
    max_ongoing_requests: int = 512
    cors_origins: tuple[str, ...] = ("*",)
    public_url: str = ""
    trusted_proxies: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    tenant_header: str = ""
