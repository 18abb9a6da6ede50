"""`stemserve separate`: separate songs, move the stems to OUT, print results."""

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from serve_app.cli import output
from serve_app.cli.parallel import Interrupt, Track, Workers
from serve_app.cli.progress import Display, OutputMode, printable
from serve_app.cli.songs import find
from serve_app.cli.summary import Tally
from serve_app.cli.work import Separate, SeparateOptions, Separator
from serve_app.filenames import titles


def folders(songs: Iterable[Path], out: Path) -> dict[Path, Path]:
    """Return a directory in `out` for each song, named after it and unique."""
    taken: set[str] = set()
    chosen: dict[Path, Path] = {}
    for song in dict.fromkeys(songs):
        name = titles.file_name(titles.of_file(song))
        unique, number = name, 1
        while unique.casefold() in taken:
            number += 1
            unique = f"{name} ({number})"
        taken.add(unique.casefold())
        # Names are UTF-8, whatever the locale is.
        chosen[song] = out / os.fsdecode(unique.encode())
    return chosen


@dataclass(frozen=True)
class _Batch:
    """The songs of one run, the directories of their stems, and the run's output."""

    places: Mapping[Path, Path]
    output: output.Output
    display: Display
    mode: OutputMode
    tally: Tally

    def separate(self, separate: Separate, song: Path, track: Track) -> None:
        """Separate a song, move its stems to their directory, and print the result."""
        began = time.monotonic()
        with self.output.song_directory() as directory:
            made = separate(song, directory, track)
            files = self.output.publish(made.files, self.places[song])
        took = time.monotonic() - began
        separated = replace(made, files=files, took_seconds=took)
        self.tally.done(separated.duration_seconds)
        if self.mode.as_json:
            self._say_object(song, separated.to_dict())
        elif not self.mode.is_quiet:
            self.display.print_line(printable(str(separated)))

    def fail(self, song: Path, reason: str) -> None:
        """Count a song that failed; with JSON output, print its error on stdout."""
        self.tally.failed(song, reason)
        if self.mode.as_json:
            self._say_object(song, {"error": reason})

    def _say_object(self, song: Path, facts: Mapping[str, Any]) -> None:
        self.display.print_line(json.dumps({"song": str(song), **facts}))


def run(
    songs: Sequence[Path],
    out: Path,
    options: SeparateOptions,
    server: str | None,
    mode: OutputMode,
) -> int:
    """Separate songs into `out` on `server`, or locally if it is None.

    Prints a line for each song, as `mode` says; returns the number that failed.
    """
    places = folders(find(songs, out), out)
    interrupt = Interrupt()
    tally = Tally(len(places), "separated")
    with (
        interrupt.handling_signals(),
        Display(mode.is_quiet) as display,
        output.opened(out) as results,
    ):
        interrupt.on_exit = [results.discard, display.restore_terminal]
        batch = _Batch(places, results, display, mode, tally)
        with _separator(options, server, display, interrupt) as separator:

            def work(song: Path, track: Track) -> None:
                batch.separate(separator.separate, song, track)

            workers = Workers(
                display, interrupt, work, separator.songs_at_once, batch.fail
            )
            try:
                workers.run(places)
            finally:
                display.print_summary(tally.summary(), mode)
    return len(tally.failures)


def _separator(
    options: SeparateOptions, server: str | None, display: Display, interrupt: Interrupt
) -> AbstractContextManager[Separator]:
    if server is None:
        from serve_app.cli import local

        return local.separator(options, display, interrupt)
    from serve_app.cli import remote

    return remote.separator(options, server, display, interrupt)
