"""How the library's webhooks are sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from serve_app.library import dead_letters
from serve_app.outbound.client import CheckedNetwork, OutboundClient
from serve_app.outbound.urls import UrlRules
from serve_app.webhooks import schedule, signing
from serve_app.webhooks.channel import SendPolicy

# The operator's own URL may be http and private.
RECEIVERS = UrlRules(("https", "http"), has_private=True)
# All messages go to one host, several at once; those of one stem one after the other.
# Those of a process that was killed are sent again when their lease ends.
POLICY = SendPolicy(
    at_once=8,
    at_once_per_host=8,
    timeout_seconds=30.0,
    lease_seconds=40.0,
    warns=True,
)


def client() -> OutboundClient:
    """Return the client for the operator's own URL."""
    return OutboundClient(RECEIVERS, CheckedNetwork(is_allowed=lambda _: True))


@dataclass(frozen=True)
class LibraryChannel:
    """Sends bodies as they are, signed by Standard Webhooks if there are `keys`.

    Their receiver is the operator's, so a 410 is an error like others.
    """

    asker: OutboundClient
    keys: Sequence[bytes] = ()
    policy: SendPolicy = POLICY
    name: str = dead_letters.WEBHOOKS
    stops_when_gone: bool = False

    def body(self, stored: str) -> bytes:
        """Return the stored body."""
        return stored.encode()

    def headers(self, message_id: str, body: bytes, at: datetime) -> Mapping[str, str]:
        """Return the id, which all attempts share, the type, and a signature."""
        plain = {"Content-Type": "application/json", signing.ID: message_id}
        if not self.keys:
            return plain
        return {**plain, **signing.headers(self.keys, message_id, body, at)}

    def delay_seconds(
        self, failures: int, jitter: float, retry_after_seconds: float
    ) -> float:
        """Return the delay before the next attempt."""
        return schedule.delay_seconds(failures, jitter, retry_after_seconds)
