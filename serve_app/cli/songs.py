"""The songs that arguments name: files, and folders of them."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from serve_app.errors import InvalidInput
from serve_app.jobs.job import ACCOMPANIMENT

# What is taken from a folder. A file that is named itself may be called anything.
_SUFFIX = re.compile(
    r"""\.(
    # audio
    aac|ac3|aif|aifc|aiff|amr|ape|au|caf|dff|dsf|dts|eac3|flac|m4a|m4b|m4r|mka|mp1|mp2|
    mp3|mpa|mpc|oga|ogg|oma|opus|ra|snd|spx|tak|tta|voc|w64|wav|wave|weba|wma|wv|
    # video
    3g2|3gp|asf|avi|f4v|flv|m2ts|m4v|mkv|mov|mp4|mpeg|mpg|mts|mxf|ogm|ogv|rm|rmvb|ts|
    vob|webm|wmv
    )""",
    re.VERBOSE | re.IGNORECASE,
)

# How the files are called that a run leaves in OUT/<song>/.
_STEMS = frozenset(
    ("drums", "bass", "other", "vocals", "guitar", "piano", ACCOMPANIMENT)
)


def find(arguments: Iterable[Path], out: Path | None = None) -> list[Path]:
    """Return the songs that `arguments` name, each once: all in a folder are taken.

    Folders are searched to their bottom, in the order of names, without what is hidden
    and without the stems that earlier runs left in `out`. Raises InvalidInput for a
    folder without a song, or that can't be read.
    """
    found: dict[Path, None] = {}
    for argument in arguments:
        if not argument.is_dir():
            found[argument] = None
            continue
        inside = list(_songs_in(argument, out))
        if not inside:
            raise InvalidInput(
                f"{argument} has no song in it: no file is named like audio or video "
                "(.mp3, .wav, .flac, .mp4, …). Name files of other names one by one."
            )
        found |= dict.fromkeys(inside)
    return list(found)


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
        # Where the folder is OUT itself, its songs lie beside their stems.
        is_result = holds_results and here.parent == folder
        for name in sorted(files):
            path = here / name
            if name.startswith(".") or not _SUFFIX.fullmatch(path.suffix):
                continue
            if not (is_result and path.stem in _STEMS):
                yield path


def _refuse(error: OSError) -> None:
    raise InvalidInput(f"{error.filename} can't be read: {error.strerror}.")
