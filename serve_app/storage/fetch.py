"""A stored file as a local one, for code that needs a path."""

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
    """Give the file `key` at a path in a fresh directory, which is deleted at the end.

    The directory is `working_dir/prefix…`; the caller may write beside the file.
    Raises FileLost when the file is not there, and StorageUnavailable.
    """
    with working_directory(working_dir, prefix) as directory:
        path = directory / "original"
        try:
            with path.open("wb") as file:
                file.writelines(storage.read(key))
        except FileNotFoundError as error:
            raise FileLost(f"{key} is not in the store any more.") from error
        yield path


def save(chunks: Iterable[bytes], path: Path, is_wanted: Callable[[], bool]) -> None:
    """Write chunks to `path`; raises Cancelled once they are not wanted any more."""
    with path.open("wb") as file:
        for chunk in chunks:
            if not is_wanted():
                raise Cancelled("The file is not wanted any more.")
            file.write(chunk)
