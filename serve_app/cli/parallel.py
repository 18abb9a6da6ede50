"""Songs worked on a few at a time, until all are done or the user ends it."""

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from threading import Event, Lock
from types import FrameType
from typing import Generic, TypeVar

import typer

from serve_app.cli.progress import Bar, Board, shown
from serve_app.errors import AppError, Cancelled

Result = TypeVar("Result")

# What ends the work: Ctrl-C, `kill`, and the end of the terminal.
_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)


class Interrupt:
    """Whether the user has ended the work; work asks often.

    `on_leave` are called before the process ends without waiting for its threads.
    """

    def __init__(self) -> None:
        self.event = Event()
        self.on_leave: Sequence[Callable[[], None]] = ()
        self._signals: list[int] = []

    @property
    def exit_code(self) -> int:
        """What shells report of a program that such a signal ended."""
        return 128 + (self._signals[-1] if self._signals else signal.SIGINT)

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Have SIGTERM and SIGHUP end the block as Ctrl-C does, with their exit code.

        A second signal ends the process at once. What this process was told to ignore
        (`nohup`) stays ignored.
        """
        before = {one: signal.getsignal(one) for one in _ENDINGS}
        heard = [one for one in _ENDINGS if before[one] in _DEFAULTS]
        for one in heard:
            signal.signal(one, self._end)
        try:
            yield
        except KeyboardInterrupt:
            raise typer.Exit(self.exit_code) from None
        finally:
            for one in heard:
                signal.signal(one, before[one])

    def pause(self, seconds: float) -> None:
        """Wait; Cancelled as soon as the user has ended the work."""
        if self.event.wait(seconds):
            raise Cancelled("You ended it.")

    def check(self) -> None:
        """Raise Cancelled if the user has ended the work."""
        self.pause(0.0)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)
        if len(self._signals) == 1:
            raise KeyboardInterrupt
        for call in self.on_leave:
            call()
        # Threads can't be ended from outside; the process can.
        os._exit(self.exit_code)


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
            try:
                futures = [
                    pool.submit(self._do, song, results, total) for song in wanted
                ]
                wait(futures)
            except KeyboardInterrupt:
                self._interrupt.event.set()
                self._board.complain("Cancelling; Ctrl-C again leaves at once.")
                pool.shutdown(cancel_futures=True)
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
            total.advance(len(results))

    def _fail(self, song: Path, reason: str) -> None:
        self._board.complain(f"{shown(song)}: {shown(reason)}")
        if self._on_failure is not None:
            self._on_failure(song, reason)


class _Total:
    """The bar of all songs together, where there are several."""

    def __init__(self, board: Board, songs: int) -> None:
        self._bar = board.bar("all songs") if songs > 1 else None
        self._songs = songs
        self._over = 0
        self._began = time.monotonic()
        self._lock = Lock()

    def advance(self, well: int) -> None:
        """Count a song that is over; `well` is how many came out well so far."""
        with self._lock:
            self._over += 1
            if self._bar is None:
                return
            # Songs that fail, fail soon: they say nothing of how long others take.
            took = time.monotonic() - self._began
            left = took * (self._songs - self._over) / well if well else None
            share = self._over / self._songs
            self._bar.show(f"{self._over} of {self._songs}", share, left)
