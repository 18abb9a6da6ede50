"""Find the songs that arguments name: files, and folders of them."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from serve_app.errors import InvalidInput
from serve_app.filenames.titles import SONG_SUFFIXES
from serve_app.stems.request import ACCOMPANIMENT

# The names of the stems that a run writes to OUT/<song>/.
_STEMS = frozenset(
    ("drums", "bass", "other", "vocals", "guitar", "piano", ACCOMPANIMENT)
)


def find(arguments: Iterable[Path], out: Path | None = None) -> list[Path]:
    """Return the songs that `arguments` name, each once.

    Folders are searched recursively, in the order of names, without hidden files and
    without the stems that earlier runs wrote to `out`. Raises InvalidInput for a folder
    that has no song or can't be read.
    """
    found: dict[Path, None] = {}
    for argument in arguments:
        if not argument.is_dir():
            found[argument] = None
            continue
        inside = list(_songs_in(argument, out))
        if not inside:
            raise InvalidInput(
                f"{argument} contains no file with an audio or video extension (.mp3, "
                ".wav, .flac, .mp4, …). To use other files, name each of them."
            )
        found |= dict.fromkeys(inside)
    return list(found)


def stems_in(folder: Path) -> dict[str, Path]:
    """Return the stems that a run wrote to OUT/<song>/, by name; InvalidInput if none.

    The accompaniment is left out if there are at least two other stems.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.stem in _STEMS)
    except OSError as err:
        raise InvalidInput(f"{folder} can't be read: {err.strerror}.") from err
    found = {path.stem: path for path in paths}
    if not found:
        raise InvalidInput(f"{folder} contains no stems, such as drums.wav.")
    if len(found) > 2:
        found.pop(ACCOMPANIMENT, None)
    return found


def _songs_in(folder: Path, out: Path | None) -> Iterator[Path]:
    results = None if out is None else out.resolve()
    holds_results = results == folder.resolve()
    for directory, names, files in os.walk(folder, onerror=_refuse):
        here = Path(directory)
        names[:] = sorted(
            name
            for name in names
            if not name.startswith(".") and (here / name).resolve() != results
        )
        # If the folder is OUT itself, songs may lie beside their stems.
        is_result = holds_results and here.parent == folder
        for name in sorted(files):
            path = here / name
            # Only files in folders are selected by their extension.
            suffix = path.suffix.removeprefix(".").lower()
            if name.startswith(".") or suffix not in SONG_SUFFIXES:
                continue
            if not (is_result and path.stem in _STEMS):
                yield path


def _refuse(error: OSError) -> None:
    raise InvalidInput(f"{error.filename} can't be read: {error.strerror}.")
