"""Songs worked on a few at a time, until all are done or the user ends it."""

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Generic, TypeVar

import typer

from serve_app.cli.board import Bar, Board, shown
from serve_app.errors import AppError, Cancelled

Result = TypeVar("Result")

# What else than Ctrl-C ends the work: `kill`, and the end of the terminal.
_ENDINGS = (signal.SIGTERM, signal.SIGHUP)


class Interrupt:
    """Whether the user has ended the work; work asks often.

    `on_leave` is called before the process ends without waiting for its threads.
    """

    def __init__(self) -> None:
        self.event = Event()
        self.on_leave: Callable[[], None] = lambda: None
        self._signal: int = signal.SIGINT

    @property
    def exit_code(self) -> int:
        """What shells report of a program that this signal ended."""
        return 128 + self._signal

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Have SIGTERM and SIGHUP end the block as Ctrl-C does, with their exit code.

        What this process was told to ignore (`nohup`) stays ignored.
        """
        heard = [one for one in _ENDINGS if signal.getsignal(one) is signal.SIG_DFL]
        for one in heard:
            signal.signal(one, self._end)
        try:
            yield
        except KeyboardInterrupt:
            raise typer.Exit(self.exit_code) from None
        finally:
            for one in heard:
                signal.signal(one, signal.SIG_DFL)

    def pause(self, seconds: float) -> None:
        """Wait; Cancelled as soon as the user has ended the work."""
        if self.event.wait(seconds):
            raise Cancelled("You ended it.")

    def check(self) -> None:
        """Raise Cancelled if the user has ended the work."""
        self.pause(0.0)

    def leave(self) -> None:
        """End the process now, whatever its threads do."""
        self.on_leave()
        # Threads can't be ended from outside; the process can.
        os._exit(self.exit_code)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._signal = number
        raise KeyboardInterrupt


class Track:
    """One song's bar, through which its work also learns that it is to end."""

    def __init__(self, bar: Bar, interrupt: Interrupt) -> None:
        self._bar = bar
        self._interrupt = interrupt

    def show(
        self, stage: str, fraction: float, eta_seconds: float | None = None
    ) -> None:
        """Show how far the song is, 0 to 1; Cancelled once the user has ended it."""
        self._interrupt.check()
        self._bar.show(stage, fraction, eta_seconds)

    def stall(self, reason: str) -> None:
        """Show why the song does not go on for now."""
        self._bar.stall(reason)


Work = Callable[[Path, Track], Result]
OnFailure = Callable[[Path, str], None]

# The track of the song that a thread works on.
current_track: ContextVar[Track | None] = ContextVar("current_track", default=None)


class Crew(Generic[Result]):
    """Does one `work` on each of many songs, `at_once` at a time."""

    def __init__(
        self,
        board: Board,
        interrupt: Interrupt,
        work: Work[Result],
        at_once: int,
        on_failure: OnFailure | None = None,
    ) -> None:
        self._board = board
        self._interrupt = interrupt
        self._work = work
        self._at_once = at_once
        self._on_failure = on_failure

    def run(self, songs: Iterable[Path]) -> dict[Path, Result]:
        """Return the results of the songs that came out well; complain of the others.

        After Ctrl-C the songs at hand are ended properly; a second one leaves at once.
        """
        wanted = list(songs)
        results: dict[Path, Result] = {}
        total = _Total(self._board, len(wanted))
        with ThreadPoolExecutor(self._at_once) as pool:
            futures = [pool.submit(self._do, song, results, total) for song in wanted]
            try:
                wait(futures)
            except KeyboardInterrupt:
                self._end(pool)
                raise typer.Exit(self._interrupt.exit_code) from None
        for future in futures:
            # What is no error of a song is a bug, and is raised.
            future.result()
        return results

    def _do(self, song: Path, results: dict[Path, Result], total: "_Total") -> None:
        bar = self._board.bar(song.name)
        track = Track(bar, self._interrupt)
        current_track.set(track)
        try:
            results[song] = self._work(song, track)
        except AppError as err:
            if not self._interrupt.event.is_set():
                self._fail(song, err.detail)
        except OSError as err:
            reason = f"{err.filename}: {err.strerror}" if err.filename else str(err)
            self._fail(song, reason)
        finally:
            bar.close()
            total.advance()

    def _fail(self, song: Path, reason: str) -> None:
        self._board.complain(f"{shown(song)}: {shown(reason)}")
        if self._on_failure is not None:
            self._on_failure(song, reason)

    def _end(self, pool: ThreadPoolExecutor) -> None:
        self._interrupt.event.set()
        self._board.complain("Cancelling; Ctrl-C again leaves at once.")
        try:
            pool.shutdown(cancel_futures=True)
        except KeyboardInterrupt:
            self._interrupt.leave()


class _Total:
    """The bar of all songs together, where there are several."""

    def __init__(self, board: Board, songs: int) -> None:
        self._bar = board.bar(f"all {songs} songs") if songs > 1 else None
        self._songs = songs
        self._over: list[float] = []
        self._began = time.monotonic()

    def advance(self) -> None:
        """Count a song that is over, whatever came of it."""
        self._over.append(time.monotonic())
        if self._bar is not None:
            done = len(self._over)
            took = self._over[-1] - self._began
            left = took * (self._songs - done) / done
            self._bar.show(f"{done} done", done / self._songs, left)
