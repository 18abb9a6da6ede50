"""A file store whose failures are reported."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from serve_app.errors import StorageUnavailable
from serve_app.storage.port import Storage, StoredFile

T = TypeVar("T")

# Gets the name of the operation that failed.
OnError = Callable[[str], None]


class ObservedStorage:
    """The files of `storage`; calls `on_error` when it is unavailable."""

    def __init__(self, storage: Storage, on_error: OnError) -> None:
        self._storage = storage
        self._on_error = on_error

    def put(self, key: str, path: Path, *, synced: bool = True) -> None:
        """Store the file at `path` under `key` atomically; see `Storage`."""
        with self._observed("put"):
            self._storage.put(key, path, synced=synced)

    def copy(self, source: str, key: str) -> None:
        """Copy `source` to `key`; raise FileNotFoundError if it does not exist."""
        with self._observed("copy"):
            self._storage.copy(source, key)

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes [start, end) of `key`; FileNotFoundError if it is missing."""
        with self._observed("read"):
            return self._each("read", self._storage.read(key, start, end))

    def stat(self, key: str) -> StoredFile:
        """Return the size and time of `key`; FileNotFoundError if it is missing."""
        with self._observed("stat"):
            return self._storage.stat(key)

    def link(
        self, key: str, disposition: str, media_type: str, seconds: int
    ) -> str | None:
        """Return a signed URL for `key`, or None if the store has no URLs."""
        with self._observed("link"):
            return self._storage.link(key, disposition, media_type, seconds)

    def list(self, prefix: str) -> Iterator[StoredFile]:
        """Yield the files in the folder `prefix`, or all files if it is empty."""
        with self._observed("list"):
            return self._each("list", self._storage.list(prefix))

    def delete(self, prefix: str) -> None:
        """Delete the file `prefix`, or all files in the folder `prefix`, if any."""
        with self._observed("delete"):
            self._storage.delete(prefix)

    def _each(self, operation: str, found: Iterator[T]) -> Iterator[T]:
        with self._observed(operation):
            yield from found

    @contextmanager
    def _observed(self, operation: str) -> Iterator[None]:
        try:
            yield
        except StorageUnavailable:
            self._on_error(operation)
            raise
