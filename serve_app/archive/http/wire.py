"""The shapes of the archive's requests and answers."""

from typing import Literal

from pydantic import ConfigDict, Field

from serve_app.api.wire import UtcTime, Wire


class QueueCounts(Wire):
    """How many media are in each state."""

    pending: int
    downloading: int
    uploading: int
    ready: int
    failed: int


class ArchiveStatus(Wire):
    """The archive's queue, and how many media it has."""

    queue: QueueCounts
    archived: int


class Retry(Wire):
    """Which media to try again."""

    model_config = ConfigDict(extra="forbid")

    state: Literal["failed"] = "failed"
    host: str = Field(default="", description="Only media of this host.")
    older_than_seconds: float = Field(
        default=0.0, ge=0, le=3.2e9, description="Only media that failed before that."
    )
    limit: int = Field(default=1000, ge=1, le=10_000)


class Retried(Wire):
    """How many media are tried again."""

    queued: int


class MediaView(Wire):
    """Media, and what became of it."""

    key: str
    state: str = Field(
        description="`pending`, `downloading`, `uploading`, `ready` or `failed`."
    )
    url: str = Field(description="Where players get it, on this server.")
    created_at: UtcTime
    updated_at: UtcTime
    size_bytes: int | None = None
    sha256: str | None = None
    media_type: str | None = None
    duration_seconds: float | None = None
    failures: int = 0
    error: str | None = Field(default=None, description="Why the last attempt failed.")
    error_code: str | None = None
    next_try_at: UtcTime | None = None
    waits_until: UtcTime | None = Field(
        default=None, description="Its source asked to be left alone until then."
    )
    is_blocked: bool = Field(default=False, description="It was taken down.")
