"""The room that a download takes: its maximum size, and what the disk has left."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from serve_app.archive.errors import DiskFull, MediaTooLarge
from serve_app.errors import StorageUnavailable, is_disk_full

# The disk is asked again after so many bytes.
_CHECK_BYTES = 8 * 1024**2
_MB = 10**6


class Room:
    """The sizes of a download's files together; thread-safe.

    Raises MediaTooLarge beyond `max_bytes`, and DiskFull as soon as the disk would have
    less than `reserve_bytes` left. Media needs its size twice: its segments and the
    media made of them, or the media and its copy in a store.
    """

    def __init__(self, folder: Path, max_bytes: int, reserve_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._reserve_bytes = reserve_bytes
        self._sizes: dict[str, int] = {}
        self._total_bytes = 0
        self._checked_at = 0
        self._lock = Lock()

    @property
    def total_bytes(self) -> int:
        """The size of all files so far."""
        return self._total_bytes

    def expect(self, name: str, size_bytes: int) -> None:
        """Check that there is room for a file of a stated size."""
        with self._lock:
            missing_bytes = size_bytes - self._sizes.get(name, 0)
            total_bytes = self._total_bytes + missing_bytes
        self._check_size(total_bytes)
        self.check_disk(missing_bytes + total_bytes)

    def resize(self, name: str, size_bytes: int) -> None:
        """Record the size of a file, which has grown or begun anew."""
        with self._lock:
            self._total_bytes += size_bytes - self._sizes.get(name, 0)
            self._sizes[name] = size_bytes
            is_due = abs(self._total_bytes - self._checked_at) >= _CHECK_BYTES
            if is_due:
                self._checked_at = self._total_bytes
        self._check_size(self._total_bytes)
        if is_due:
            self.check_disk(0)

    def check_disk(self, needed_bytes: int) -> None:
        """Raise DiskFull unless the disk has room for so much, and its reserve."""
        found = os.statvfs(self._folder)
        free_bytes = found.f_bavail * found.f_frsize
        if free_bytes < needed_bytes + self._reserve_bytes:
            raise DiskFull(
                f"The download needs {(needed_bytes + self._reserve_bytes) // _MB} MB "
                f"of free space on its disk, which has {free_bytes // _MB} MB. The "
                "operator must free some."
            )

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._max_bytes:
            raise MediaTooLarge(
                f"The media must have at most {self._max_bytes} bytes; it has at least "
                f"{size_bytes}."
            )


@contextmanager
def disk_errors() -> Iterator[None]:
    """Translate errors of a disk: DiskFull, and StorageUnavailable for others."""
    try:
        yield
    except OSError as err:
        if is_disk_full(err):
            raise DiskFull(
                "The disk filled up during the download. The operator must free some "
                "space on it."
            ) from err
        raise StorageUnavailable(
            f"The archive can't write its downloads ({err.strerror}): its disk may be "
            "read-only. Try again later."
        ) from err
