"""Channels: how messages are rendered, signed, sent and retried."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from serve_app.errors import RefusedUrl
from serve_app.outbound.client import OutboundClient, OutboundResponse
from serve_app.webhooks import message, schedule, signing

_NO_KEY = (
    "The server has no secret to sign webhooks with. The operator must set "
    "STEMSERVE_WEBHOOK_SECRETS."
)


@dataclass(frozen=True)
class SendPolicy:
    """The limits and timeouts of sending messages.

    A lease must be longer than an attempt, DNS look-up included. At most
    `at_once_per_host` messages are sent to one host, so that a slow host does not block
    the others. If the receiver is the operator's own, `warns` says so when a message
    fails for the first time.
    """

    at_once: int = 8
    at_once_per_host: int = 1
    timeout_seconds: float = 15.0
    lease_seconds: float = 60.0
    poll_seconds: float = 1.0
    backoff_seconds: float = 5.0
    warns: bool = False


class Poster(Protocol):
    """What sends a message; see `OutboundClient.post`."""

    def post(
        self, url: str, headers: Mapping[str, str], body: bytes, deadline: float
    ) -> AbstractContextManager[OutboundResponse]:
        """Send a body; raise RefusedUrl, or UnreachableUrl without a response."""


class Channel(Protocol):
    """How the messages of one channel are sent."""

    @property
    def name(self) -> str:
        """The name of the channel in the outbox."""

    @property
    def asker(self) -> Poster:
        """What sends, such as a client that only reaches allowed addresses."""

    @property
    def policy(self) -> SendPolicy:
        """The limits and timeouts of sending."""

    @property
    def stops_when_gone(self) -> bool:
        """Whether a 410 disables all pending messages to the same URL."""

    def body(self, stored: str) -> bytes:
        """Return the body to send for a stored body."""

    def headers(self, message_id: str, body: bytes, at: datetime) -> Mapping[str, str]:
        """Return the headers of a message, including its signature.

        Raises RefusedUrl, with the reason, if nothing can be sent now.
        """

    def delay_seconds(
        self, failures: int, jitter: float, retry_after_seconds: float
    ) -> float:
        """Return the delay before the next attempt after `failures`, at least 1.

        `jitter` is 0 to 1. `retry_after_seconds` is the Retry-After of the receiver.
        """


@dataclass(frozen=True)
class WebhookChannel:
    """The channel of messages to clients, signed by Standard Webhooks with all `keys`.

    `public_url` is the public URL of the service, empty if it is unknown.
    """

    asker: OutboundClient
    keys: Sequence[bytes]
    public_url: str = ""
    policy: SendPolicy = SendPolicy()
    name: str = message.WEBHOOK
    stops_when_gone: bool = True
    delays: Callable[[int, float, float], float] = schedule.delay_seconds

    def body(self, stored: str) -> bytes:
        """Return the message with the current URLs of the service."""
        return message.rendered(stored, self.public_url).encode()

    def headers(self, message_id: str, body: bytes, at: datetime) -> Mapping[str, str]:
        """Return the headers; raise RefusedUrl without a key to sign with."""
        if not self.keys:
            raise RefusedUrl(_NO_KEY)
        signed = signing.headers(self.keys, message_id, body, at)
        return {"Content-Type": "application/json", **signed}

    def delay_seconds(
        self, failures: int, jitter: float, retry_after_seconds: float
    ) -> float:
        """Return the delay before the next attempt."""
        return self.delays(failures, jitter, retry_after_seconds)
