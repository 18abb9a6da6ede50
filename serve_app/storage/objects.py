"""The objects of a bucket that others fill, by keys of any form."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol
from uuid import uuid4

from serve_app.errors import StorageUnavailable, disk_full_as_unavailable

CHUNK_BYTES = 256 * 1024
# Incomplete files; no key is stored under a name that begins with a dot.
_PARTIAL = ".partial"


@dataclass(frozen=True)
class ObjectFacts:
    """An object's size, and the tag that changes with its content."""

    size_bytes: int
    tag: str


class Objects(Protocol):
    """The objects of a bucket.

    Keys are any text of 1 to 1024 bytes. Methods block, are thread-safe, and raise
    FileNotFoundError for a missing object, PermissionError for one that may not be
    read or written, and StorageUnavailable.
    """

    def stat(self, key: str) -> ObjectFacts:
        """Return the facts of an object."""

    def read(self, key: str) -> Iterator[bytes]:
        """Yield the content of an object, all of one version."""

    def put(self, key: str, path: Path, media_type: str) -> None:
        """Store the file at `path` atomically; an object with this key is replaced."""

    def delete(self, key: str) -> None:
        """Delete an object; one that is missing is no error."""

    def probe(self) -> None:
        """Raise StorageUnavailable unless the bucket responds."""


class DirectoryObjects:
    """The files of a directory as objects: `a/b.wav` is the file `b.wav` in `a`.

    Segments that begin with a dot or a percent sign are stored with this character
    percent-encoded, and empty ones as a percent sign, or two at the end.
    """

    def __init__(self, root: Path) -> None:
        with _translated():
            root.mkdir(parents=True, exist_ok=True)
            self._root = root.resolve(strict=True)

    def stat(self, key: str) -> ObjectFacts:
        """Return the facts of a file."""
        with _translated():
            found = self._path(key).stat()
        return ObjectFacts(found.st_size, f"{found.st_mtime_ns}-{found.st_ino}")

    def read(self, key: str) -> Iterator[bytes]:
        """Yield the content of a file."""
        with _translated():
            # Opened now: a missing file must raise before the first chunk is asked for.
            file = self._path(key).open("rb")
        return _chunks(file)

    def put(self, key: str, path: Path, media_type: str) -> None:
        """Store a copy of the file at `path`; `media_type` is not kept."""
        partial = self._root / _PARTIAL / uuid4().hex
        try:
            with _translated():
                target = self._path(key)
                partial.parent.mkdir(exist_ok=True)
                shutil.copyfile(path, partial)
                target.parent.mkdir(parents=True, exist_ok=True)
                partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    def delete(self, key: str) -> None:
        """Delete a file; its folders are kept."""
        with _translated():
            self._path(key).unlink(missing_ok=True)

    def probe(self) -> None:
        """Raise StorageUnavailable if the directory is gone."""
        with _translated():
            next(self._root.iterdir(), None)

    def _path(self, key: str) -> Path:
        *folders, last = key.split("/")
        path = self._root.joinpath(*(_name(each) or "%" for each in folders))
        path /= _name(last) or "%%"
        if path.parent.resolve() != path.parent or path.is_symlink():
            raise PermissionError(f"{key!r} has a symbolic link in its path")
        if path.exists() and not path.is_file():
            raise FileNotFoundError(2, "there is no such file", key)
        return path


def _name(segment: str) -> str:
    if segment.startswith((".", "%")):
        return f"%{ord(segment[0]):02X}{segment[1:]}"
    return segment


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    with _translated(), file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


@contextmanager
def _translated() -> Iterator[None]:
    try:
        with disk_full_as_unavailable():
            yield
    except (FileNotFoundError, PermissionError):
        raise
    except (FileExistsError, IsADirectoryError) as err:
        raise PermissionError(
            13, "a file and a folder can't have the same name", err.filename
        ) from err
    except NotADirectoryError as err:
        raise FileNotFoundError(2, "there is no such file", err.filename) from err
    except OSError as err:
        if err.errno == errno.ENAMETOOLONG:
            raise FileNotFoundError(2, "there is no such file", err.filename) from err
        raise StorageUnavailable(
            f"The bucket's directory is unavailable ({err.strerror}). Try again later."
        ) from err
