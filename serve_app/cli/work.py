"""What is to be done with songs, and what does it: here or on a server."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import log10
from pathlib import Path
from typing import Any

from serve_app.cli.parallel import Track


@dataclass(frozen=True)
class Order:
    """Options for every song, as the service's form has them; empty is its default."""

    model: str = ""
    stems: str = ""
    format: str = ""
    priority: str = ""
    bpm_range: str = ""

    @property
    def fields(self) -> Mapping[str, str]:
        """The fields that are not left to the service."""
        return {name: value for name, value in asdict(self).items() if value}


@dataclass(frozen=True)
class Separated:
    """The stems of a song, their model, and the gain that kept them from clipping.

    `duration_seconds` is the song's length, None if a server does not tell it, and
    `took_seconds` how long all of it took.
    """

    files: Sequence[Path]
    model: str
    gain: float
    duration_seconds: float | None = None
    took_seconds: float = 0.0

    def __str__(self) -> str:
        """Say it in a line."""
        names = ", ".join(path.name for path in self.files)
        line = f"{self.files[0].parent}: {names} (model {self.model})"
        if self.gain < 1.0:
            line += f", all by {20 * log10(self.gain):.1f} dB so that none clips"
        return line

    def to_dict(self) -> dict[str, Any]:
        """Say it to a program."""
        return {
            "files": {path.stem: str(path) for path in self.files},
            "model": self.model,
            "gain": self.gain,
            "duration": self.duration_seconds,
            "seconds": round(self.took_seconds, 3),
        }


# Makes the stems of a song in a directory.
Separate = Callable[[Path, Path, Track], Separated]


@dataclass(frozen=True)
class Separator:
    """What separates songs, and how many at once."""

    separate: Separate
    songs_at_once: int


# Between which tempos songs' are, if that was said.
BpmRange = tuple[float, float] | None

Analyze = Callable[[Path, Track], Mapping[str, Any]]


@dataclass(frozen=True)
class Analyzer:
    """What analyses songs, and how many at once."""

    analyze: Analyze
    songs_at_once: int
