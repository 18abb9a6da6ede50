"""What came of a batch of songs, in a line."""

import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Summary:
    """How many of `songs` are `done` and `failed`, and how long that took.

    `song_seconds` is the length of the songs that are done, None where it is not known,
    and `verb` what was done to them: `separated`.
    """

    songs: int
    done: int
    failed: int
    seconds: float
    song_seconds: float | None
    verb: str

    def __str__(self) -> str:
        """Say it as a person would."""
        left = self.songs - self.done - self.failed
        counts = [f"{self.done} {self.verb}"]
        counts += [f"{self.failed} failed"] if self.failed else []
        counts += [f"{left} not done"] if left else []
        words = ", ".join([*counts, spoken(self.seconds)])
        if self.song_seconds and self.seconds > 0:
            words += f", {self.song_seconds / self.seconds:.1f}x real time"
        return f"{self.songs} song{'s' * (self.songs != 1)}: {words}"


class Tally:
    """Counts what comes of `songs`, from any number of threads; `verb` as in Summary.

    Its clock starts when it is made.
    """

    def __init__(self, songs: int, verb: str) -> None:
        self._songs = songs
        self._verb = verb
        self._began = time.monotonic()
        self._lengths_seconds: list[float | None] = []
        self.failures: list[Path] = []

    def done(self, length_seconds: float | None) -> None:
        """Count a song that came out well; its length if that is known."""
        self._lengths_seconds.append(length_seconds)

    def failed(self, song: Path, _reason: str) -> None:
        """Count a song that failed."""
        self.failures.append(song)

    def summary(self) -> Summary:
        """Return what came of the songs so far."""
        known = [length for length in self._lengths_seconds if length is not None]
        is_known = len(known) == len(self._lengths_seconds)
        return Summary(
            songs=self._songs,
            done=len(self._lengths_seconds),
            failed=len(self.failures),
            seconds=time.monotonic() - self._began,
            song_seconds=sum(known) if is_known else None,
            verb=self._verb,
        )


def spoken(seconds: float) -> str:
    """Return a time in the two units that matter: `3 min 12 s`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def clock(seconds: float) -> str:
    """Return a time as clocks show it: `3:12`, `1:03:12`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
