"""The folders of downloads, by key: each is used by one process at a time."""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from serve_app.archive.downloads.room import disk_errors
from serve_app.archive.identity import digest
from serve_app.errors import Cancelled, TryLater

# The name of the file that has the key: a folder's name does not tell it.
_KEY = "key"
_WAIT_SECONDS = 30.0
_POLL_SECONDS = 0.1
_RETRY_SECONDS = 30.0


@dataclass(frozen=True)
class Held:
    """A folder that no one else uses while the descriptor `lock` is open."""

    path: Path
    lock: int


@contextmanager
def held(
    root: Path,
    key: str,
    is_wanted: Callable[[], bool] = lambda: True,
    wait_seconds: float = _WAIT_SECONDS,
) -> Iterator[Held]:
    """Use the folder of `key` alone; it is made if there is none, and stays.

    The lock ends with its process, even if that is killed. Raises TryLater if another
    process has it all the time, and Cancelled; and DiskFull and StorageUnavailable for
    errors of the disk, those of the caller too.
    """
    path = root / digest(key)
    end = time.monotonic() + wait_seconds
    with disk_errors():
        while (lock := _locked(path)) is None:
            if not is_wanted():
                raise Cancelled("The download was cancelled.")
            if time.monotonic() > end:
                raise TryLater(
                    "Another process still downloads this media.", _RETRY_SECONDS
                )
            time.sleep(_POLL_SECONDS)
        try:
            (path / _KEY).write_text(key, encoding="utf-8")
            yield Held(path, lock)
        finally:
            os.close(lock)


def discard(root: Path, key: str) -> None:
    """Delete the folder of `key`, once no one uses it; raises TryLater."""
    if (root / digest(key)).is_dir():
        with held(root, key) as folder:
            shutil.rmtree(folder.path)


def sweep(root: Path, is_wanted: Callable[[str], bool], before: datetime) -> int:
    """Delete unused folders of keys that are not wanted; return their number.

    Folders in which something changed since `before` stay.
    """
    deleted = 0
    folders = root.iterdir() if root.is_dir() else ()
    for path in [path for path in folders if path.is_dir()]:
        if _changed_at(path) >= before or is_wanted(_key(path)):
            continue
        lock = _lock(path)
        if lock is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)
            deleted += 1
    return deleted


def _key(path: Path) -> str:
    with suppress(FileNotFoundError):
        return (path / _KEY).read_text(encoding="utf-8")
    return ""


def _changed_at(path: Path) -> datetime:
    newest = path.stat().st_mtime
    for found in path.rglob("*"):
        with suppress(FileNotFoundError):
            newest = max(newest, found.stat().st_mtime)
    return datetime.fromtimestamp(newest, UTC)


def _locked(path: Path) -> int | None:
    """Make a folder and lock it; None if another process has it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        return _lock(path)
    return None


def _lock(path: Path) -> int | None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # It may have been deleted, and made anew, before it was locked.
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None
