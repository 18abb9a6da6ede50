"""The work of a job: fetch media, and store it. Blocking."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Protocol

from serve_app.archive import identity
from serve_app.archive.downloads.fetch import Downloads, Fetched
from serve_app.archive.kind import ArchiveJob, Fetch, Stage, Stored

Report = Callable[[str, float], None]
# Of the whole job; the rest is to store it.
_DOWNLOAD_SHARE = 0.9


class Stores(Protocol):
    """The stores of media; see `stores.MediaStores`."""

    def put_first(self, object_key: str, path: Path) -> str:
        """Store a file in one store, and return its name."""


@dataclass(frozen=True)
class Worker:
    """Fetches and stores media. What it downloaded stays until the job has ended."""

    downloads: Downloads
    stores: Stores
    salt: str

    def run(self, job: ArchiveJob, report: Report, cancelled: Event) -> Stored:
        """Fetch and store the media of a job, and return where it is."""
        fetch = job.request

        def on_progress(fraction: float) -> None:
            report(Stage.DOWNLOAD, _DOWNLOAD_SHARE * fraction)

        on_progress(0.0)
        found = self.downloads.fetch(fetch.key, fetch.url, on_progress, cancelled)
        report(Stage.UPLOAD, _DOWNLOAD_SHARE)
        object_key = self._object_key(fetch, found)
        return Stored(
            object_key=object_key,
            store=self.stores.put_first(object_key, found.path),
            size_bytes=found.size_bytes,
            sha256=found.sha256,
            media_type=found.media_type,
            fetched_bytes=found.fetched_bytes,
            duration_seconds=found.duration_seconds,
        )

    def _object_key(self, fetch: Fetch, found: Fetched) -> str:
        if fetch.identity is not None:
            return identity.object_key(fetch.identity, self.salt)
        return identity.object_key_of(fetch.key, self.salt, found.extension)
