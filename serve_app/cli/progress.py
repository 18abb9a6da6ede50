"""Terminal output: a progress bar for each song, a line when it is done."""

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
)

from serve_app.cli.summary import Summary, format_clock
from serve_app.filenames import titles

_SHOW_CURSOR = b"\x1b[?25h"
# With these a bar's line fits into 80 columns.
_MAX_NAME_LENGTH = 26
_BAR_WIDTH = 16


def printable(text: str | Path) -> str:
    """Return a text, such as a file name, as one line that any terminal can show."""
    characters = titles.readable(str(text))
    printable = (char if char.isprintable() else "\ufffd" for char in characters)
    encoding = sys.stdout.encoding or "utf-8"
    return "".join(printable).encode(encoding, "replace").decode(encoding)


@dataclass(frozen=True)
class OutputMode:
    """What to print: text or JSON, and whether to print progress and results."""

    as_json: bool = False
    is_quiet: bool = False


class Display:
    """Progress bars and lines on a terminal.

    Bars and errors go to stderr, results to stdout. A quiet display has no bars.
    """

    def __init__(self, is_quiet: bool = False) -> None:
        console = Console(stderr=True)
        self._lock = Lock()
        self._has_bars = console.is_terminal and not is_quiet
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=_BAR_WIDTH),
            TaskProgressColumn(),
            TextColumn("{task.fields[stage]}"),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
            disable=not self._has_bars,
            # Lines on stderr are printed above the bars.
            redirect_stdout=False,
            redirect_stderr=self._has_bars,
        )

    def __enter__(self) -> "Display":
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        # The terminal may have been closed.
        with suppress(OSError):
            self._progress.stop()

    def restore_terminal(self) -> None:
        """Show the cursor again, if the process exits without closing the display."""
        if self._has_bars:
            with suppress(OSError):
                os.write(sys.stderr.fileno(), _SHOW_CURSOR)

    def bar(self, title: str) -> "Bar":
        """Add a bar; closing it removes it."""
        name = printable(title)
        if len(name) > _MAX_NAME_LENGTH:
            name = f"{name[: _MAX_NAME_LENGTH - 1]}…"
        # Without a total the bar pulses.
        task = self._progress.add_task(escape(name), total=None, stage="", left="")
        return Bar(self._progress, task)

    def print_line(self, line: str) -> None:
        """Print a line of the result."""
        if self._has_bars and sys.stdout.isatty():
            self._print_above(line)
        else:
            self._print(line, sys.stdout)

    def print_summary(self, summary: Summary, mode: OutputMode) -> None:
        """Print the summary of several songs, unless the output is JSON or quiet."""
        if mode.as_json or mode.is_quiet or summary.songs < 2:
            return
        self.print_line(str(summary))

    def print_error(self, line: str) -> None:
        """Print an error."""
        with suppress(OSError):
            if self._has_bars:
                self._print_above(line)
            else:
                self._print(line, sys.stderr)

    def _print(self, line: str, stream: TextIO) -> None:
        # Threads print at the same time; their lines must not mix.
        with self._lock:
            print(line, file=stream, flush=True)

    def _print_above(self, line: str) -> None:
        """Print a line above the bars, unwrapped: the terminal wraps it."""
        self._progress.console.print(
            line, markup=False, highlight=False, soft_wrap=True
        )


class Bar:
    """One progress bar."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def show(
        self, stage: str, fraction: float, eta_seconds: float | None = None
    ) -> None:
        """Show the stage, the fraction done (0 to 1), and the time left, if known."""
        left = "" if eta_seconds is None else f"{format_clock(eta_seconds)} left"
        self._progress.update(
            self._task, total=1.0, completed=fraction, stage=escape(stage), left=left
        )

    def show_waiting(self, reason: str) -> None:
        """Show why the work is waiting."""
        self._progress.update(self._task, stage=escape(reason), left="")

    def close(self) -> None:
        """Remove the bar."""
        self._progress.remove_task(self._task)
