"""Songs into stems: what is asked for, where it goes, and what is said of it."""

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from serve_app.cli import output
from serve_app.cli.parallel import Crew, Interrupt, Track
from serve_app.cli.progress import Board, Manner, shown
from serve_app.cli.songs import find
from serve_app.cli.summary import Tally
from serve_app.cli.work import Order, Separate, Separator
from serve_app.filenames import titles


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


@dataclass(frozen=True)
class _Batch:
    """Songs, the directories of their stems, and all that they have in common."""

    places: Mapping[Path, Path]
    output: output.Output
    board: Board
    manner: Manner
    tally: Tally

    def separate(self, separate: Separate, song: Path, track: Track) -> None:
        """Separate a song into its place, and say so."""
        began = time.monotonic()
        with self.output.workplace() as directory:
            made = separate(song, directory, track)
            files = self.output.publish(made.files, self.places[song])
        took = time.monotonic() - began
        separated = replace(made, files=files, took_seconds=took)
        self.tally.done(separated.duration_seconds)
        if self.manner.as_json:
            self._say_object(song, separated.to_dict())
        elif not self.manner.is_quiet:
            self.board.say(shown(str(separated)))

    def fail(self, song: Path, reason: str) -> None:
        """Count a song that failed; programs are told on stdout, too."""
        self.tally.failed(song, reason)
        if self.manner.as_json:
            self._say_object(song, {"error": reason})

    def _say_object(self, song: Path, facts: Mapping[str, Any]) -> None:
        self.board.say(json.dumps({"song": str(song), **facts}))


def run(
    songs: Sequence[Path], out: Path, order: Order, server: str | None, manner: Manner
) -> int:
    """Separate songs into `out` by a server, or here if there is none.

    Says a line for each song, or as `manner` is, and returns how many failed.
    """
    places = folders(find(songs, out), out)
    interrupt = Interrupt()
    tally = Tally(len(places), "separated")
    with (
        interrupt.heeded(),
        Board(manner.is_quiet) as board,
        output.opened(out) as results,
    ):
        interrupt.on_leave = [results.discard, board.abandon]
        batch = _Batch(places, results, board, manner, tally)
        with _separator(order, server, board, interrupt) as separator:

            def work(song: Path, track: Track) -> None:
                batch.separate(separator.separate, song, track)

            crew = Crew(board, interrupt, work, separator.songs_at_once, batch.fail)
            try:
                crew.run(places)
            finally:
                board.sum_up(tally.summary(), manner)
    return len(tally.failures)


def _separator(
    order: Order, server: str | None, board: Board, interrupt: Interrupt
) -> AbstractContextManager[Separator]:
    if server is None:
        from serve_app.cli import local

        return local.separator(order, board, interrupt)
    from serve_app.cli import remote

    return remote.separator(order, server, board, interrupt)
