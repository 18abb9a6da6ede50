"""How dead letters reach their queue: as messages of the outbox, each retried."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from serve_app.errors import UnreachableUrl
from serve_app.library import dead_letters
from serve_app.library.errors import QueueUnavailable
from serve_app.library.inlet.sqs import Queue
from serve_app.outbound.client import OutboundResponse
from serve_app.webhooks import schedule
from serve_app.webhooks.channel import SendPolicy

_DELIVERED = 200
_POLICY = SendPolicy(at_once=2, at_once_per_host=2, warns=True)


@dataclass(frozen=True)
class QueuePoster:
    """Sends the bodies of dead letters to a queue, as `OutboundClient.post` sends."""

    queue: Queue

    @contextmanager
    def post(
        self, url: str, headers: Mapping[str, str], body: bytes, deadline: float
    ) -> Iterator[OutboundResponse]:
        """Send a dead letter; raise UnreachableUrl if the queue does not take it."""
        letter = json.loads(body)
        try:
            self.queue.send(letter["message"] or "-", letter["attributes"])
        except QueueUnavailable as err:
            raise UnreachableUrl(err.detail) from err
        yield OutboundResponse(url, _DELIVERED, {}, iter(()))


@dataclass(frozen=True)
class DeadLetterChannel:
    """The channel of dead letters."""

    asker: QueuePoster
    policy: SendPolicy = _POLICY
    name: str = dead_letters.CHANNEL
    stops_when_gone: bool = False

    def body(self, stored: str) -> bytes:
        """Return the stored body."""
        return stored.encode()

    def headers(self, message_id: str, body: bytes, at: datetime) -> Mapping[str, str]:
        """Return no headers: the body has the attributes."""
        return {}

    def delay_seconds(
        self, failures: int, jitter: float, retry_after_seconds: float
    ) -> float:
        """Return the delay before the next attempt."""
        return schedule.delay_seconds(failures, jitter, retry_after_seconds)
