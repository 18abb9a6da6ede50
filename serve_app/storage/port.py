"""What the service needs of a store of files."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

# Where files that were sent directly lie until a job takes them in.
UPLOADS = "uploads"


@dataclass(frozen=True)
class StoredFile:
    """A file in a store."""

    key: str
    size_bytes: int
    modified_at: datetime


class Storage(Protocol):
    """Files by key. Keys are relative paths of plain segments, `originals/ab12`.

    Every method raises StorageUnavailable when the store does not answer and
    ValueError for a key that is no key.
    """

    def put(self, key: str, path: Path, *, synced: bool = True) -> None:
        """Store the file at `path` under `key`, whole or not at all.

        `path` may be deleted afterwards, but not written to: a store may share it.
        Unless `synced`, a power cut within the next half minute may lose the file or
        leave some of it, for what can be made again and says itself if it is whole.
        """

    def copy(self, source: str, key: str) -> None:
        """Store the file `source` under `key` as well; FileNotFoundError if it is gone.

        The bytes stay within the store, and neither is touched when the other goes.
        """

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes [start, end) of `key`; FileNotFoundError if there is none."""

    def stat(self, key: str) -> StoredFile:
        """Describe `key`; FileNotFoundError if there is none."""

    def link(
        self, key: str, disposition: str, media_type: str, seconds: int
    ) -> str | None:
        """Return an address where anybody can get `key` for so many seconds.

        Its answers have these values of Content-Disposition and Content-Type. None
        when the store has no addresses.
        """

    def list(self, prefix: str) -> Iterator[StoredFile]:
        """Yield the files in the folder `prefix` (`stems/ab12`), all if it is empty."""

    def delete(self, prefix: str) -> None:
        """Delete the file `prefix` or all files in the folder `prefix`, if any."""


@dataclass(frozen=True)
class Offer:
    """Where to send a file: each of its parts, all but the last of the same size."""

    part_bytes: int
    part_urls: tuple[str, ...]


class DirectUploads(Protocol):
    """Files that clients send to a store themselves, in parts, to signed addresses.

    Every method raises StorageUnavailable when the store does not answer. `seconds` is
    how long the addresses last.
    """

    seconds: int

    def begin(self, upload_id: str, filename: str, size_bytes: int) -> Offer:
        """Let a file of that name and size be sent."""

    def claimed(self, upload_id: str) -> AbstractContextManager[None]:
        """Keep an upload from being taken twice; raises UploadBusy when it would be."""

    def fetch(self, upload_id: str, path: Path, is_wanted: Callable[[], bool]) -> str:
        """Bring a file that was sent whole to `path`; return its name.

        Raises UploadNotFound, UploadIncomplete, which says what is missing, and
        Cancelled once it is not wanted any more.
        """

    def give_up(self, upload_id: str) -> bool:
        """Delete what there is of an upload; False if there is nothing."""

    def sweep(self, before: datetime, folders: Sequence[str]) -> int:
        """Delete the parts of files that were begun `before` and never came whole.

        Of those in `folders`.
        """
