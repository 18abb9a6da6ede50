"""What the archive's routes need."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from serve_app.archive.identity import Identity
from serve_app.archive.media import Media, MediaStore
from serve_app.archive.triggers import Triggers

# Raises NotAllowed for an episode that the old API's tables could not hold.
CheckIdentity = Callable[[Identity], None]


class Earlier(Protocol):
    """What the archive before this one has stored; methods block."""

    def has(self, identity: Identity) -> bool:
        """Whether it has stored an episode that this one has no row of."""

    def take_down(self, key: str) -> Media:
        """Take its media down. Raises MediaNotFound, and Unavailable."""


@dataclass(frozen=True)
class ArchiveServices:
    """The media, what asks for it, and facts for /health.

    `secret` is the bearer of what changes the archive, or "" if nobody may. `url` is
    the public URL of the process that streams, or "" for the same host at `port`.
    `earlier` is what the archive before this one has stored, if there was one.
    """

    media: MediaStore
    triggers: Triggers
    secret: str
    check_identity: CheckIdentity
    wake: Callable[[], None]
    stop: Callable[[str], None]
    status: Callable[[], Awaitable[Mapping[str, Any]]]
    stores: int
    url: str
    port: int
    earlier: Earlier | None = None
