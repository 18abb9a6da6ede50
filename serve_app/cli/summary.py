"""The summary of a run in one line."""

import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Summary:
    """How many of `songs` are `done` and `failed`, and the `seconds` that the run took.

    `song_seconds` is the total length of the songs that are done, None if it is not
    known; `verb` is what was done to them, such as `separated`.
    """

    songs: int
    done: int
    failed: int
    seconds: float
    song_seconds: float | None
    verb: str

    def __str__(self) -> str:
        """Return the summary as one line."""
        left = self.songs - self.done - self.failed
        counts = [f"{self.done} {self.verb}"]
        counts += [f"{self.failed} failed"] if self.failed else []
        counts += [f"{left} not done"] if left else []
        words = ", ".join([*counts, format_duration(self.seconds)])
        if self.song_seconds and self.seconds > 0:
            words += f", {self.song_seconds / self.seconds:.1f}x real time"
        return f"{self.songs} song{'s' * (self.songs != 1)}: {words}"


class Tally:
    """Counts the songs of a run that are done and failed. Thread-safe.

    `songs` and `verb` are those of Summary. The run's time starts at construction.
    """

    def __init__(self, songs: int, verb: str) -> None:
        self._songs = songs
        self._verb = verb
        self._began = time.monotonic()
        self._lengths_seconds: list[float | None] = []
        self.failures: list[Path] = []

    def done(self, length_seconds: float | None) -> None:
        """Count a song that succeeded, and its length if that is known."""
        self._lengths_seconds.append(length_seconds)

    def failed(self, song: Path, _reason: str) -> None:
        """Count a song that failed."""
        self.failures.append(song)

    def summary(self) -> Summary:
        """Return the summary of the songs so far."""
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


def format_duration(seconds: float) -> str:
    """Return a duration in its two largest units: `3 min 12 s`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def format_clock(seconds: float) -> str:
    """Return a duration as `3:12` or `1:03:12`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
