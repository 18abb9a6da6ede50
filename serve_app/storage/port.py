"""What the service needs of a store of files."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


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
