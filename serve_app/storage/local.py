"""Files by key in a local directory."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from serve_app.errors import StorageUnavailable, disk_full_as_unavailable
from serve_app.storage import keys
from serve_app.storage.port import StoredFile

CHUNK_BYTES = 256 * 1024
# The folder of incomplete files, where a sweep finds those that a crash left behind.
PARTIAL = "partial"
# `delete` can remove a folder between its creation and its use.
_PUT_TRIES = 10


class LocalStorage:
    """The files below the directory `root`, which is created if it is missing.

    Symbolic links inside it are never followed.
    """

    def __init__(self, root: Path) -> None:
        with _translated():
            root.mkdir(parents=True, exist_ok=True)
            self._root = root.resolve(strict=True)

    def put(self, key: str, path: Path, *, synced: bool = True) -> None:
        """Store the file at `path` under `key` atomically.

        On the same file system it is a hard link: `path` may be deleted afterwards, but
        not written to.
        """
        target = self._path(key)
        source = path.resolve(strict=True)
        partial = self._root / PARTIAL / uuid4().hex
        try:
            with _translated():
                _duplicate(source, partial)
                if synced:
                    _sync(partial)
                _move(partial, target)
                if synced:
                    self._sync_folders(target)
        except FileNotFoundError as err:
            raise _missing_directory() from err
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)

    def copy(self, source: str, key: str) -> None:
        """Copy `source` to `key`; raise FileNotFoundError if `source` does not exist.

        The copy is a hard link.
        """
        self.stat(source)
        self.put(key, self._path(source), synced=False)
        target = self._path(key)
        with _translated():
            # A hard link was synced when its source was stored.
            if target.stat().st_nlink == 1:
                _sync(target)
            self._sync_folders(target)

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes [start, end) of `key`; FileNotFoundError if it is missing."""
        keys.check_range(start, end)
        size_bytes = self.stat(key).size_bytes
        stop = size_bytes if end is None else min(end, size_bytes)
        return _chunks(self._path(key), start, stop)

    def stat(self, key: str) -> StoredFile:
        """Return the size and time of `key`; FileNotFoundError if it is missing."""
        path = self._path(key)
        with _translated():
            if not path.is_file():
                if not self._root.is_dir():
                    raise _missing_directory()
                raise FileNotFoundError(
                    errno.ENOENT, "no such file in the storage", key
                )
            return _describe(key, path.stat())

    def link(self, key: str, disposition: str, media_type: str, seconds: int) -> None:
        """Return None: a directory has no URLs."""

    def list(self, prefix: str) -> Iterator[StoredFile]:
        """Yield the files in the folder `prefix`, or all files if it is empty."""
        folder = self._folder(prefix) if prefix else self._root
        return self._files(folder)

    def delete(self, prefix: str) -> None:
        """Delete the file `prefix`, or all files in the folder `prefix`, if any."""
        path = self._folder(prefix)
        with _translated():
            if path.is_dir():
                _clear(path)
            else:
                # A folder at `path` was created just now, so it is not the target.
                with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                    path.unlink()
            # Ends at the first folder that is not empty; the top level is kept.
            with suppress(OSError):
                for folder in self._folders_of(path)[:-2]:
                    folder.rmdir()

    def _path(self, key: str) -> Path:
        path = self._root.joinpath(*keys.checked(key).split("/"))
        if path.resolve() != path:
            raise ValueError(f"{key!r} has a symbolic link in its path")
        return path

    def _folder(self, prefix: str) -> Path:
        return self._path(keys.folder(prefix))

    def _folders_of(self, path: Path) -> tuple[Path, ...]:
        """Return the folders above `path`, innermost first, the root last."""
        inside = path.relative_to(self._root)
        return tuple(self._root / folder for folder in inside.parents)

    def _sync_folders(self, path: Path) -> None:
        # A missing folder was deleted together with the file.
        for folder in self._folders_of(path):
            with suppress(FileNotFoundError):
                _sync(folder)

    def _files(self, folder: Path) -> Iterator[StoredFile]:
        """Yield the files below `folder`, except those deleted during the listing."""
        with _translated():
            try:
                with os.scandir(folder) as found:
                    entries = list(found)
            except (FileNotFoundError, NotADirectoryError):
                return
        for entry in entries:
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                yield from self._files(path)
            elif entry.is_file(follow_symlinks=False):
                with suppress(FileNotFoundError):
                    key = path.relative_to(self._root).as_posix()
                    yield _describe(key, path.stat())


@contextmanager
def _translated() -> Iterator[None]:
    try:
        with disk_full_as_unavailable():
            yield
    except (IsADirectoryError, NotADirectoryError, FileExistsError) as err:
        raise ValueError(f"{err.filename}: a key can't be inside another key") from err
    except FileNotFoundError:
        raise
    except OSError as err:
        raise StorageUnavailable(
            f"The file storage is unavailable ({err.strerror}). Try again later."
        ) from err


def _describe(key: str, status: os.stat_result) -> StoredFile:
    modified_at = datetime.fromtimestamp(status.st_mtime, UTC)
    return StoredFile(key, status.st_size, modified_at)


def _chunks(path: Path, start: int, stop: int) -> Iterator[bytes]:
    with _translated(), path.open("rb") as file:
        file.seek(start)
        while start < stop and (chunk := file.read(min(CHUNK_BYTES, stop - start))):
            start += len(chunk)
            yield chunk


def _duplicate(source: Path, target: Path) -> None:
    """Make `target` a hard link to `source`, or a copy on another file system."""
    target.parent.mkdir(exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    # Sweeps keep recent files, so the time must be that of storing.
    os.utime(target)


def _move(source: Path, target: Path) -> None:
    for _ in range(_PUT_TRIES):
        with suppress(FileNotFoundError):
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
            return
    raise OSError(errno.EBUSY, "the folder is being deleted", str(target.parent))


def _clear(folder: Path) -> None:
    """Delete the files in `folder`, and then its empty folders."""
    for parent, folders, files in os.walk(folder, topdown=False):
        links = [name for name in folders if Path(parent, name).is_symlink()]
        for name in files + links:
            Path(parent, name).unlink(missing_ok=True)
        # Fails for a folder in which a file was stored meanwhile, which is kept.
        with suppress(OSError):
            Path(parent).rmdir()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _missing_directory() -> StorageUnavailable:
    return StorageUnavailable(
        "The directory of the file storage is missing. Restore or mount it."
    )
