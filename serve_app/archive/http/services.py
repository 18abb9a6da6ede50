"""What the archive's routes need."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from serve_app.archive.identity import Identity
from serve_app.archive.media import MediaStore
from serve_app.archive.triggers import Triggers

# Raises NotAllowed for an episode that the old API's tables could not hold.
CheckIdentity = Callable[[Identity], None]


@dataclass(frozen=True)
class ArchiveServices:
    """The media, what asks for it, and facts for /health.

    `secret` is the bearer of `POST /trigger`, or "" if nobody may send it. `url` is the
    public URL of the process that streams, or "" for the same host at `port`.
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
