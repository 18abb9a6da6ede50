"""What commands do with songs: the options, the results, and who does the work."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import log10
from pathlib import Path
from typing import Any

from serve_app.cli.parallel import Track


@dataclass(frozen=True)
class SeparateOptions:
    """Options of a separation, as in the API; empty for the service's default."""

    model: str = ""
    stems: str = ""
    format: str = ""
    priority: str = ""
    bpm_range: str = ""

    @property
    def fields(self) -> Mapping[str, str]:
        """The options that are set, as form fields."""
        return {name: value for name, value in asdict(self).items() if value}


@dataclass(frozen=True)
class Separated:
    """The stems of a song, their model, and the gain applied to prevent clipping.

    `duration_seconds` is the song's length, None if the server doesn't send it;
    `took_seconds` is the time from the start to the last stem.
    """

    files: Sequence[Path]
    model: str
    gain: float
    duration_seconds: float | None = None
    took_seconds: float = 0.0

    def __str__(self) -> str:
        """Return the result as one line."""
        names = ", ".join(path.name for path in self.files)
        line = f"{self.files[0].parent}: {names} (model {self.model})"
        if self.gain < 1.0:
            line += f", gain {20 * log10(self.gain):.1f} dB to prevent clipping"
        return line

    def to_dict(self) -> dict[str, Any]:
        """Return the result as a JSON object."""
        return {
            "files": {path.stem: str(path) for path in self.files},
            "model": self.model,
            "gain": self.gain,
            "duration": self.duration_seconds,
            "seconds": round(self.took_seconds, 3),
        }


# Separates a song into files in a directory.
Separate = Callable[[Path, Path, Track], Separated]


@dataclass(frozen=True)
class Separator:
    """A function that separates songs, and how many it takes at once."""

    separate: Separate
    songs_at_once: int


# The lowest and the highest possible tempo, in beats per minute, if known.
BpmRange = tuple[float, float] | None

Analyze = Callable[[Path, Track], Mapping[str, Any]]


@dataclass(frozen=True)
class Analyzer:
    """A function that analyses songs, and how many it takes at once."""

    analyze: Analyze
    songs_at_once: int
