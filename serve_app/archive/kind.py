"""The kind of job that fetches media and stores it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from serve_app.archive.identity import Identity
from serve_app.jobs.job import Job
from serve_app.jobs.kind import Kind, Rules
from serve_app.settings import Settings

NAME = "archive"
_WEEK_SECONDS = 7 * 24 * 3600.0


class Stage(StrEnum):
    """What a running job is doing; the names are those of the old API's states."""

    DOWNLOAD = "downloading"
    UPLOAD = "uploading"


@dataclass(frozen=True)
class Fetch:
    """Media to fetch from `url`, and to store under `key`."""

    key: str
    url: str
    identity: Identity | None = None


@dataclass(frozen=True)
class Stored:
    """Media that is stored: where, and what it is.

    `store` is the name of the first store that has it. `fetched_bytes` counts all bytes
    of this attempt's responses.
    """

    object_key: str
    store: str
    size_bytes: int
    sha256: str
    media_type: str
    fetched_bytes: int = 0
    duration_seconds: float | None = None


ArchiveJob = Job[Fetch, Stored]


class ArchiveKind(Kind[Fetch, Stored]):
    """Jobs that fetch media, at most one at a time for each key."""

    def title(self, job: ArchiveJob) -> str:
        """Return the key of the media."""
        return job.request.key

    def log_fields(self, job: ArchiveJob) -> Mapping[str, Any]:
        """Return the size, and the bytes that it took to get it."""
        if job.result is None:
            return {}
        return {
            "bytes": job.result.size_bytes,
            "fetched_bytes": job.result.fetched_bytes,
        }


def configured(settings: Settings) -> ArchiveKind:
    """Return the kind with the limits of an operator."""
    return ArchiveKind(
        NAME,
        Fetch,
        Stored,
        stages=tuple(Stage),
        rules=Rules(
            # Downloads try several times by themselves; see `media.RETRY_SECONDS`.
            max_attempts=1,
            deaths_are_failures=False,
            retention_seconds=_WEEK_SECONDS,
            at_once=settings.archive_downloads,
            at_once_per_lane=settings.archive_downloads_per_host,
        ),
        done_event="media archived",
    )
