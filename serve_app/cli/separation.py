"""Songs into stems: what is asked for, where it goes, and what is said of it."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import log10
from pathlib import Path

from serve_app import titles


@dataclass(frozen=True)
class Order:
    """What to make of every song, in the words of the service; empty is its default."""

    model: str = ""
    stems: str = ""
    format: str = ""
    priority: str = ""

    @property
    def fields(self) -> Mapping[str, str]:
        """The fields that are not left to the service."""
        return {name: value for name, value in asdict(self).items() if value}


@dataclass(frozen=True)
class Separated:
    """The stems of a song, their model, and the gain that kept them from clipping."""

    files: Sequence[Path]
    model: str
    gain: float

    def __str__(self) -> str:
        """Say it in a line."""
        names = ", ".join(path.name for path in self.files)
        line = f"{self.files[0].parent}: {names} (model {self.model})"
        if self.gain < 1.0:
            line += f", all by {20 * log10(self.gain):.1f} dB so that none clips"
        return line


def folders(songs: Iterable[Path], out: Path) -> dict[Path, Path]:
    """Return a directory in `out` for each song, named after it, no two the same."""
    taken: set[str] = set()
    chosen: dict[Path, Path] = {}
    for song in dict.fromkeys(songs):
        name = titles.file_name(titles.of_file(song))
        unique, number = name, 1
        while unique.casefold() in taken:
            number += 1
            unique = f"{name} ({number})"
        taken.add(unique.casefold())
        # In UTF-8, whatever the locale is.
        chosen[song] = out / os.fsdecode(unique.encode())
    return chosen


def run(songs: Sequence[Path], out: Path, order: Order, server: str | None) -> int:
    """Separate songs into `out` by a server, or here if there is none.

    Says a line for each song and returns how many failed.
    """
    places = folders(songs, out)
    if server is None:
        from serve_app.cli import here

        return here.separate(places, order)
    from serve_app.cli import there

    return there.separate(places, order, server)
