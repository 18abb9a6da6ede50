"""How the messages of a channel are sent: rendered, signed, and tried again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from serve_app.errors import RefusedUrl
from serve_app.outbound.client import Asker
from serve_app.webhooks import message, schedule, signing

_NO_KEY = (
    "The server has no secret to sign with: its operator must set "
    "STEMSERVE_WEBHOOK_SECRETS."
)


@dataclass(frozen=True)
class SendPolicy:
    """How many messages are sent at once, and how long each may take.

    A lease must outlast an attempt, the look-up of a name included. A host is sent so
    many at once: one that hangs keeps others waiting in no more than its own place.
    """

    at_once: int = 8
    at_once_per_host: int = 1
    answer_seconds: float = 15.0
    lease_seconds: float = 60.0
    poll_seconds: float = 1.0
    backoff_seconds: float = 5.0


class Channel(Protocol):
    """How the messages of one name go to their targets."""

    @property
    def name(self) -> str:
        """What its messages are recorded under."""

    @property
    def asker(self) -> Asker:
        """What asks addresses, those that it may."""

    @property
    def policy(self) -> SendPolicy:
        """How many are sent at once, and how long each may take."""

    def body(self, kept: str) -> bytes:
        """Return what is sent of a body that was written down."""

    def headers(self, message_id: str, body: bytes, at: datetime) -> Mapping[str, str]:
        """Return the headers of a message, its signature among them.

        Raises RefusedUrl when nothing can be sent now, and says why.
        """

    def delay_seconds(self, failures: int, luck: float, wish_seconds: float) -> float:
        """Return how long to wait after so many failures, the first being 1.

        `luck`, 0 to 1, is for jitter; `wish_seconds` is what the receiver asked for.
        """


@dataclass(frozen=True)
class WebhookChannel:
    """The messages to clients, signed with each of `keys` as Standard Webhooks has it.

    `public_url` is where receivers reach the service, empty if that is not known.
    """

    asker: Asker
    keys: Sequence[bytes]
    public_url: str = ""
    policy: SendPolicy = SendPolicy()
    name: str = message.WEBHOOK
    delays: Callable[[int, float, float], float] = schedule.delay_seconds

    def body(self, kept: str) -> bytes:
        """Return the message with the URLs of now."""
        return message.rendered(kept, self.public_url).encode()

    def headers(self, message_id: str, body: bytes, at: datetime) -> Mapping[str, str]:
        """Return the headers; RefusedUrl without a key to sign with."""
        if not self.keys:
            raise RefusedUrl(_NO_KEY)
        signed = signing.headers(self.keys, message_id, body, at)
        return {"Content-Type": "application/json", **signed}

    def delay_seconds(self, failures: int, luck: float, wish_seconds: float) -> float:
        """Return how long to wait after so many failures."""
        return self.delays(failures, luck, wish_seconds)
