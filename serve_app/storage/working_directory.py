"""Working directories that are deleted even if their process is killed."""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from serve_app.errors import StorageUnavailable, disk_full_as_unavailable

# The errors of file systems without such locks, such as some network shares.
_NO_LOCKS = (
    *(errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS),
    *(errno.ENOTSUP, errno.EOPNOTSUPP),
)


@contextmanager
def working_directory(
    root: Path, prefix: str, has_root_alone: bool = True
) -> Iterator[Path]:
    """Create a directory `root/prefix…`; delete it with its files at the end.

    First delete the directories of killed processes in `root`, whose locks the kernel
    has released; with `has_root_alone` False, only those with this prefix. On a file
    system without locks none are deleted. Raises StorageUnavailable if the disk is not
    writable, and StorageFull if it is full, now or while the caller writes.
    """
    try:
        with disk_full_as_unavailable():
            directory, lock = _make(root, prefix, "" if has_root_alone else prefix)
    except OSError as error:
        raise StorageUnavailable(
            f"The server can't write working files ({error.strerror}): its disk may be "
            "read-only. Try again later."
        ) from error
    try:
        with disk_full_as_unavailable():
            yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _make(root: Path, prefix: str, swept: str) -> tuple[Path, int | None]:
    root.mkdir(parents=True, exist_ok=True)
    with _guarded(root):
        _sweep(root, swept)
        directory = Path(tempfile.mkdtemp(prefix=prefix, dir=root))
        return directory, _lock(directory)


def sweep(root: Path) -> None:
    """Delete the directories in `root` that no running process has locked."""
    if root.is_dir():
        with _guarded(root):
            _sweep(root)


@contextmanager
def _guarded(root: Path) -> Iterator[None]:
    """Block other sweeps between the creation and the locking of a directory."""
    guard = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _acquire(guard, fcntl.LOCK_EX)
        yield
    finally:
        os.close(guard)


def _sweep(root: Path, prefix: str = "") -> None:
    for directory in root.iterdir():
        if not directory.name.startswith(prefix):
            continue
        lock = _lock(directory)
        if lock is not None:
            shutil.rmtree(directory, ignore_errors=True)
            os.close(lock)


def _lock(directory: Path) -> int | None:
    """Return a file descriptor that holds the lock, or None if it can't be locked."""
    with suppress(FileNotFoundError, NotADirectoryError):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            is_locked = _acquire(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            is_locked = False
        if is_locked:
            return descriptor
        os.close(descriptor)
    return None


def _acquire(descriptor: int, operation: int) -> bool:
    """Lock and return True, or return False on a file system without locks."""
    try:
        fcntl.flock(descriptor, operation)
    except OSError as err:
        if err.errno not in _NO_LOCKS:
            raise
        return False
    return True
