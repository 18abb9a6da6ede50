"""A store that tests can switch off."""

from collections.abc import Iterator
from pathlib import Path

from serve_app.errors import StorageUnavailable
from serve_app.storage.local import LocalStorage
from serve_app.storage.port import StoredFile


class Flaky(LocalStorage):
    """A store that can be switched off, also in the middle of a file.

    `puts` are the keys that it was asked to store while it was on.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.is_down = False
        self.breaks_after: int | None = None
        self.puts: list[str] = []

    def put(self, key: str, path: Path, *, synced: bool = True) -> None:
        """Store, or fail."""
        self._check()
        self.puts.append(key)
        super().put(key, path, synced=synced)

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Read, or fail at once or later."""
        self._check()
        return self._some(super().read(key, start, end))

    def stat(self, key: str) -> StoredFile:
        """Describe, or fail."""
        self._check()
        return super().stat(key)

    def list(self, prefix: str) -> Iterator[StoredFile]:
        """List, or fail."""
        self._check()
        return super().list(prefix)

    def delete(self, prefix: str) -> None:
        """Delete, or fail."""
        self._check()
        super().delete(prefix)

    def _check(self) -> None:
        if self.is_down:
            raise StorageUnavailable("it is down")

    def _some(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for number, chunk in enumerate(chunks):
            if number == self.breaks_after:
                raise StorageUnavailable("it has just died")
            yield chunk
