"""Songs worked on a few at a time, until all are done or Ctrl-C."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from threading import Event
from typing import Generic, TypeVar

import typer

from serve_app.cli.board import Bar, Board, shown
from serve_app.errors import AppError, Cancelled

Result = TypeVar("Result")

# What a shell reports of a program that SIGINT ended.
INTERRUPTED = 130


class Interrupt:
    """Whether the user has had enough; work asks often."""

    def __init__(self) -> None:
        self.event = Event()

    def pause(self, seconds: float) -> None:
        """Wait; Cancelled as soon as the user has had enough."""
        if self.event.wait(seconds):
            raise Cancelled("You ended it with Ctrl-C.")

    def check(self) -> None:
        """Raise Cancelled if the user has had enough."""
        self.pause(0.0)


class Track:
    """One song's bar, through which its work also learns of Ctrl-C."""

    def __init__(self, bar: Bar, interrupt: Interrupt) -> None:
        self._bar = bar
        self._interrupt = interrupt

    def show(self, stage: str, fraction: float) -> None:
        """Show how far the song is, 0 to 1; Cancelled after Ctrl-C."""
        self._interrupt.check()
        self._bar.show(stage, fraction)


Work = Callable[[Path, Track], Result]


class Crew(Generic[Result]):
    """Does one `work` on each of many songs, `at_once` at a time."""

    def __init__(
        self, board: Board, interrupt: Interrupt, work: Work[Result], at_once: int
    ) -> None:
        self._board = board
        self._interrupt = interrupt
        self._work = work
        self._at_once = at_once

    def run(self, songs: Iterable[Path]) -> dict[Path, Result]:
        """Return the results of the songs that came out well; complain of the others.

        After Ctrl-C the songs at hand are ended properly; a second one leaves at once.
        """
        results: dict[Path, Result] = {}
        with ThreadPoolExecutor(self._at_once) as pool:
            futures = [pool.submit(self._do, song, results) for song in songs]
            try:
                wait(futures)
            except KeyboardInterrupt:
                self._end(pool)
                raise typer.Exit(INTERRUPTED) from None
        for future in futures:
            # What is no error of a song is a bug, and is raised.
            future.result()
        return results

    def _do(self, song: Path, results: dict[Path, Result]) -> None:
        bar = self._board.bar(song.name)
        try:
            results[song] = self._work(song, Track(bar, self._interrupt))
        except AppError as err:
            if not self._interrupt.event.is_set():
                self._board.complain(f"{shown(song)}: {shown(err.detail)}")
        except OSError as err:
            reason = f"{err.filename}: {err.strerror}" if err.filename else str(err)
            self._board.complain(f"{shown(song)}: {shown(reason)}")
        finally:
            bar.close()

    def _end(self, pool: ThreadPoolExecutor) -> None:
        self._interrupt.event.set()
        self._board.complain("Cancelling; Ctrl-C again leaves at once.")
        try:
            pool.shutdown(cancel_futures=True)
        except KeyboardInterrupt:
            # Threads can't be ended from outside; the process can.
            os._exit(INTERRUPTED)
