"""The output directory. Only complete results appear in it."""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from serve_app.errors import InvalidInput, StorageUnavailable
from serve_app.storage.working_directory import working_directory

_PREFIX = ".stemserve-"


class Output:
    """An output directory, with a hidden working directory for unfinished files."""

    def __init__(self, working: Path, made: list[Path]) -> None:
        self._working = working
        # Directories that this run created, innermost first.
        self._made = made

    @contextmanager
    def song_directory(self) -> Iterator[Path]:
        """Yield a directory for the files of one song; files left in it are deleted."""
        with TemporaryDirectory(dir=self._working, ignore_cleanup_errors=True) as path:
            yield Path(path)

    def publish(self, files: Iterable[Path], place: Path) -> list[Path]:
        """Move finished files to `place`; return their new paths."""
        is_new = not place.exists()
        place.mkdir(parents=True, exist_ok=True)
        try:
            return [path.replace(place / path.name) for path in files]
        finally:
            if is_new:
                _remove_empty([place])

    def discard(self) -> None:
        """Delete all unpublished files, even while threads still write them."""
        # Renamed first, so that no thread adds files while it is deleted.
        ended = self._working.with_name(f"{self._working.name}-ended")
        with suppress(OSError):
            self._working.rename(ended)
        shutil.rmtree(ended, ignore_errors=True)
        _remove_empty(self._made)


@contextmanager
def opened(directory: Path) -> Iterator[Output]:
    """Open the output `directory`; if it was created and stays empty, it is removed.

    Deletes what killed runs left in it. Raises InvalidInput if it can't be written.
    """
    made = [path for path in (directory, *directory.parents) if not path.exists()]
    if directory.exists() and not directory.is_dir():
        raise _not_written(directory, "Not a directory")
    with ExitStack() as stack:
        stack.callback(_remove_empty, made)
        try:
            working = stack.enter_context(
                working_directory(directory, _PREFIX, has_root_alone=False)
            )
        except StorageUnavailable as err:
            reason = getattr(err.__cause__, "strerror", None) or err.__cause__
            raise _not_written(directory, reason) from err
        yield Output(working, made)


def _not_written(directory: Path, reason: object) -> InvalidInput:
    return InvalidInput(
        f"{directory} can't be written: {reason}. --out must be a writable folder."
    )


def _remove_empty(directories: Iterable[Path]) -> None:
    for directory in directories:
        with suppress(OSError):
            directory.rmdir()
