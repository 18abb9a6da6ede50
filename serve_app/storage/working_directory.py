"""Working directories that do not outlive the process that made them."""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from serve_app.errors import StorageUnavailable, disk_full_as_unavailable

# What file systems answer that have no such locks, some network shares among them.
_NO_LOCKS = (
    *(errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS),
    *(errno.ENOTSUP, errno.EOPNOTSUPP),
)


@contextmanager
def working_directory(
    root: Path, prefix: str, has_root_alone: bool = True
) -> Iterator[Path]:
    """Make a directory `root/prefix…` and delete it, with all in it, at the end.

    What processes that were killed left in `root` goes first: the kernel drops their
    locks. Where `root` holds other things too, that is only what has this prefix. On a
    file system without locks nothing is swept. Raises StorageUnavailable when the disk
    takes no files, and StorageFull also when it gets full while they are written.
    """
    try:
        with disk_full_as_unavailable():
            directory, lock = _make(root, prefix, "" if has_root_alone else prefix)
    except OSError as error:
        raise StorageUnavailable(
            f"No working files can be written here ({error.strerror}): the disk of "
            "the service may be read-only. Try again later."
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
    """Delete the directories in `root` that no living process works in."""
    if root.is_dir():
        with _guarded(root):
            _sweep(root)


@contextmanager
def _guarded(root: Path) -> Iterator[None]:
    """Keep others from sweeping a directory between its making and its locking."""
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
    """Return a file descriptor that holds the lock; None when another has it."""
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
    """Lock, or return False on a file system that has no locks."""
    try:
        fcntl.flock(descriptor, operation)
    except OSError as err:
        if err.errno not in _NO_LOCKS:
            raise
        return False
    return True
