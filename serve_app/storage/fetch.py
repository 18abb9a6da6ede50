"""Local copies of stored files, for code that needs a path."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from serve_app.errors import Cancelled, FileLost
from serve_app.storage.port import Storage
from serve_app.storage.working_directory import working_directory


@contextmanager
def fetched(
    storage: Storage, key: str, working_dir: Path, prefix: str
) -> Iterator[Path]:
    """Yield the path of a copy of `key` in a new directory, deleted at the end.

    The directory is `working_dir/prefix…`; the caller may write more files to it.
    Raises FileLost if the file is missing, and StorageUnavailable.
    """
    with working_directory(working_dir, prefix) as directory:
        path = directory / "original"
        try:
            with path.open("wb") as file:
                file.writelines(storage.read(key))
        except FileNotFoundError as error:
            raise FileLost(f"The stored file {key} is missing.") from error
        yield path


def save(chunks: Iterable[bytes], path: Path, is_wanted: Callable[[], bool]) -> None:
    """Write chunks to `path`; raise Cancelled once `is_wanted` returns False."""
    with path.open("wb") as file:
        for chunk in chunks:
            if not is_wanted():
                raise Cancelled("The transfer of the file was cancelled.")
            file.write(chunk)
