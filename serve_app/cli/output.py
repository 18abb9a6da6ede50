"""The directory that results go to, in which nothing unfinished is ever left."""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from serve_app.errors import InvalidInput, StorageUnavailable
from serve_app.storage.working_directory import working_directory

_PREFIX = ".stemserve-"


class Output:
    """Where files are made, hidden, and where they appear once they are whole."""

    def __init__(self, working: Path, made: list[Path]) -> None:
        self._working = working
        # Directories that were not there before, the innermost first.
        self._made = made

    @contextmanager
    def workplace(self) -> Iterator[Path]:
        """Give a directory for the files of one song; what is left in it goes."""
        with TemporaryDirectory(dir=self._working, ignore_cleanup_errors=True) as path:
            yield Path(path)

    def publish(self, files: Iterable[Path], place: Path) -> list[Path]:
        """Move whole files to `place`, and return where they are now."""
        is_new = not place.exists()
        place.mkdir(parents=True, exist_ok=True)
        try:
            return [path.replace(place / path.name) for path in files]
        finally:
            if is_new:
                _remove_empty([place])

    def discard(self) -> None:
        """Delete all that is not published, also while it is being made."""
        # Under another name, nobody adds to it while it is deleted.
        ended = self._working.with_name(f"{self._working.name}-ended")
        with suppress(OSError):
            self._working.rename(ended)
        shutil.rmtree(ended, ignore_errors=True)
        _remove_empty(self._made)


@contextmanager
def opened(directory: Path) -> Iterator[Output]:
    """Give the output `directory`, which goes at the end if it was made for nothing.

    What killed runs left in it goes first. Raises InvalidInput where nothing can be
    written.
    """
    made = [path for path in (directory, *directory.parents) if not path.exists()]
    if directory.exists() and not directory.is_dir():
        raise InvalidInput(f"{directory} can't be written: Not a directory.")
    with ExitStack() as stack:
        stack.callback(_remove_empty, made)
        try:
            working = stack.enter_context(
                working_directory(directory, _PREFIX, has_root_alone=False)
            )
        except StorageUnavailable as err:
            reason = getattr(err.__cause__, "strerror", None) or err.__cause__
            raise InvalidInput(f"{directory} can't be written: {reason}.") from err
        yield Output(working, made)


def _remove_empty(directories: Iterable[Path]) -> None:
    for directory in directories:
        with suppress(OSError):
            directory.rmdir()
