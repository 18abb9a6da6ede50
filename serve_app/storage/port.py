"""The interfaces of file stores."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

# The folder of direct uploads that no job has used yet.
UPLOADS = "uploads"


@dataclass(frozen=True)
class StoredFile:
    """A file in a store."""

    key: str
    size_bytes: int
    modified_at: datetime


class Storage(Protocol):
    """Files by key: a relative path of plain segments, such as `originals/ab12`.

    Every method raises StorageUnavailable if the store is unavailable, and ValueError
    for an invalid key.
    """

    def put(self, key: str, path: Path, *, synced: bool = True) -> None:
        """Store the file at `path` under `key` atomically.

        `path` may be deleted afterwards, but not written to: the store may share its
        data. Unless `synced`, a power failure within the next half minute may lose or
        truncate the file. That is for files that can be recreated and that show
        whether they are complete.
        """

    def copy(self, source: str, key: str) -> None:
        """Copy `source` to `key`; raise FileNotFoundError if `source` does not exist.

        The store itself copies the bytes. Deleting one file does not affect the other.
        """

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes [start, end) of `key`; FileNotFoundError if it is missing."""

    def stat(self, key: str) -> StoredFile:
        """Return the size and time of `key`; FileNotFoundError if it is missing."""

    def link(
        self, key: str, disposition: str, media_type: str, seconds: int
    ) -> str | None:
        """Return a signed URL for `key` that is valid for `seconds`.

        Its responses have the given Content-Disposition and Content-Type. Returns None
        if the store has no URLs.
        """

    def list(self, prefix: str) -> Iterator[StoredFile]:
        """Yield the files in the folder `prefix` (`stems/ab12`), all if it is empty."""

    def delete(self, prefix: str) -> None:
        """Delete the file `prefix`, or all files in the folder `prefix`, if any."""


@dataclass(frozen=True)
class Offer:
    """The URLs for the parts of an upload, all but the last of `part_bytes`."""

    part_bytes: int
    part_urls: tuple[str, ...]


class DirectUploads(Protocol):
    """Multipart uploads that clients send directly to a store, to signed URLs.

    Every method raises StorageUnavailable if the store is unavailable. The URLs are
    valid for `seconds`.
    """

    seconds: int

    def begin(self, upload_id: str, filename: str, size_bytes: int) -> Offer:
        """Start the upload of a file with this name and size."""

    def claimed(self, upload_id: str) -> AbstractContextManager[None]:
        """Lock an upload; raise UploadBusy if another request has locked it."""

    def fetch(self, upload_id: str, path: Path, is_wanted: Callable[[], bool]) -> str:
        """Download a complete upload to `path`; return the file's name.

        Raises UploadNotFound, UploadIncomplete, which lists the missing parts, and
        Cancelled once `is_wanted` returns False.
        """

    def give_up(self, upload_id: str) -> bool:
        """Delete an upload; return False if there is none."""

    def sweep(self, before: datetime, folders: Sequence[str]) -> int:
        """Delete incomplete uploads in `folders` that were started before `before`.

        Returns their number.
        """
