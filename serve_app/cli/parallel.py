"""Process songs in parallel threads, until all are done or the user cancels."""

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

from serve_app.cli.progress import Bar, Display, printable
from serve_app.errors import AppError, Cancelled

Result = TypeVar("Result")

# Signals that cancel the work: Ctrl-C, `kill`, and a closed terminal.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)


class Interrupt:
    """Cancellation by the user. Work must call `check` often.

    The functions `on_exit` are called before the process exits without waiting for its
    threads.
    """

    def __init__(self) -> None:
        self.event = Event()
        self.on_exit: Sequence[Callable[[], None]] = ()
        self._signals: list[int] = []

    @property
    def exit_code(self) -> int:
        """The exit status that shells report for a program ended by this signal."""
        return 128 + (self._signals[-1] if self._signals else signal.SIGINT)

    @contextmanager
    def handling_signals(self) -> Iterator[None]:
        """In the block, handle SIGTERM and SIGHUP like Ctrl-C, with their exit code.

        A second signal ends the process at once. Signals that the process ignores
        (`nohup`) stay ignored.
        """
        before = {one: signal.getsignal(one) for one in _SIGNALS}
        handled = [one for one in _SIGNALS if before[one] in _DEFAULTS]
        for one in handled:
            signal.signal(one, self._end)
        try:
            yield
        except KeyboardInterrupt:
            raise typer.Exit(self.exit_code) from None
        finally:
            for one in handled:
                signal.signal(one, before[one])

    def pause(self, seconds: float) -> None:
        """Sleep; raises Cancelled as soon as the user cancels."""
        if self.event.wait(seconds):
            raise Cancelled("Cancelled by the user.")

    def check(self) -> None:
        """Raise Cancelled if the user has cancelled."""
        self.pause(0.0)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)
        if len(self._signals) == 1:
            raise KeyboardInterrupt
        for call in self.on_exit:
            call()
        # Python can't stop threads; ending the process does.
        os._exit(self.exit_code)


class Track:
    """The progress of one song; reporting to it also checks for cancellation."""

    def __init__(self, bar: Bar, interrupt: Interrupt) -> None:
        self._bar = bar
        self._interrupt = interrupt

    def show(
        self, stage: str, fraction: float, eta_seconds: float | None = None
    ) -> None:
        """Show the progress, 0 to 1; raises Cancelled if the user has cancelled."""
        self._interrupt.check()
        self._bar.show(stage, fraction, eta_seconds)

    def show_waiting(self, reason: str) -> None:
        """Show why the song is waiting."""
        self._bar.show_waiting(reason)


Work = Callable[[Path, Track], Result]
OnFailure = Callable[[Path, str], None]

# The track of the song that a thread works on.
current_track: ContextVar[Track | None] = ContextVar("current_track", default=None)


class Workers(Generic[Result]):
    """Calls `work` for each of many songs, in up to `at_once` threads."""

    def __init__(
        self,
        display: Display,
        interrupt: Interrupt,
        work: Work[Result],
        at_once: int,
        on_failure: OnFailure | None = None,
    ) -> None:
        self._display = display
        self._interrupt = interrupt
        self._work = work
        self._at_once = at_once
        self._on_failure = on_failure

    def run(self, songs: Iterable[Path]) -> dict[Path, Result]:
        """Return the results of the songs that succeeded; print errors of the others.

        After Ctrl-C, waits until the running songs have cleaned up.
        """
        wanted = list(songs)
        results: dict[Path, Result] = {}
        total = _Total(self._display, len(wanted))
        with ThreadPoolExecutor(self._at_once) as pool:
            try:
                futures = [
                    pool.submit(self._do, song, results, total) for song in wanted
                ]
                wait(futures)
            except KeyboardInterrupt:
                self._interrupt.event.set()
                self._display.print_error(
                    "Cancelling. Press Ctrl-C again to exit at once."
                )
                pool.shutdown(cancel_futures=True)
                raise typer.Exit(self._interrupt.exit_code) from None
        for future in futures:
            # Any other exception is a bug: raise it.
            future.result()
        return results

    def _do(self, song: Path, results: dict[Path, Result], total: "_Total") -> None:
        bar = self._display.bar(song.name)
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
        # Some reasons begin with the song's path.
        is_named = reason.startswith((f"{song} ", f"{song}: "))
        line = reason if is_named else f"{song}: {reason}"
        self._display.print_error(printable(line))
        if self._on_failure is not None:
            self._on_failure(song, reason)


class _Total:
    """The bar of all songs together, if there are several."""

    def __init__(self, display: Display, songs: int) -> None:
        self._bar = display.bar("all songs") if songs > 1 else None
        self._songs = songs
        self._ended = 0
        self._began = time.monotonic()
        self._lock = Lock()

    def advance(self, succeeded: int) -> None:
        """Count a song that ended; `succeeded` is how many have succeeded so far."""
        with self._lock:
            self._ended += 1
            if self._bar is None:
                return
            # Failures are mostly fast: the estimate is based on successes.
            took = time.monotonic() - self._began
            left = took * (self._songs - self._ended) / succeeded if succeeded else None
            share = self._ended / self._songs
            self._bar.show(f"{self._ended} of {self._songs}", share, left)
