"""What a person sees while songs are worked on: a bar for each, a line when done."""

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

from serve_app.cli.summary import Summary, clock
from serve_app.filenames import titles

_SHOW_CURSOR = b"\x1b[?25h"
# A line of a bar fits into 80 columns.
_LONGEST_NAME = 26
_BAR_WIDTH = 16


def shown(text: str | Path) -> str:
    """Return a text, such as a file's name, as any terminal can show it on one line."""
    characters = titles.readable(str(text))
    printable = (char if char.isprintable() else "\ufffd" for char in characters)
    encoding = sys.stdout.encoding or "utf-8"
    return "".join(printable).encode(encoding, "replace").decode(encoding)


@dataclass(frozen=True)
class Manner:
    """How much is said, and to whom: to people, or to programs that read JSON."""

    as_json: bool = False
    is_quiet: bool = False


class Board:
    """Bars of what is going on, on a terminal, and the lines said.

    Bars are on stderr, as complaints are: stdout has the results alone. A quiet board
    has no bars.
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
            # Lines that are printed meanwhile appear above the bars.
            redirect_stdout=False,
            redirect_stderr=self._has_bars,
        )

    def __enter__(self) -> "Board":
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        # The terminal may be gone: that is one of the ways to be told to end.
        with suppress(OSError):
            self._progress.stop()

    def abandon(self) -> None:
        """Leave the terminal usable, in a process that ends without closing this."""
        if self._has_bars:
            with suppress(OSError):
                os.write(sys.stderr.fileno(), _SHOW_CURSOR)

    def bar(self, title: str) -> "Bar":
        """Add a bar; it goes when it is closed."""
        name = shown(title)
        if len(name) > _LONGEST_NAME:
            name = f"{name[: _LONGEST_NAME - 1]}…"
        # Without a total it moves to and fro.
        task = self._progress.add_task(escape(name), total=None, stage="", left="")
        return Bar(self._progress, task)

    def say(self, line: str) -> None:
        """Print a line of the result."""
        if self._has_bars and sys.stdout.isatty():
            self._print_above(line)
        else:
            self._print(line, sys.stdout)

    def sum_up(self, summary: Summary, manner: Manner) -> None:
        """Print what came of a batch, for people; one song needs none."""
        if manner.as_json or manner.is_quiet or summary.songs < 2:
            return
        self.say(str(summary))

    def complain(self, line: str) -> None:
        """Print a line about what went wrong."""
        with suppress(OSError):
            if self._has_bars:
                self._print_above(line)
            else:
                self._print(line, sys.stderr)

    def _print(self, line: str, stream: TextIO) -> None:
        # Several songs are worked on at once, and each line is one.
        with self._lock:
            print(line, file=stream, flush=True)

    def _print_above(self, line: str) -> None:
        """Print a line above the bars; the terminal breaks it, so it copies whole."""
        self._progress.console.print(
            line, markup=False, highlight=False, soft_wrap=True
        )


class Bar:
    """One bar on a board."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def show(
        self, stage: str, fraction: float, eta_seconds: float | None = None
    ) -> None:
        """Say what is being done, how much of all is done (0 to 1), and what is left.

        `eta_seconds` is how long it still takes, where that is known.
        """
        left = "" if eta_seconds is None else f"{clock(eta_seconds)} left"
        self._progress.update(
            self._task, total=1.0, completed=fraction, stage=escape(stage), left=left
        )

    def stall(self, reason: str) -> None:
        """Say why it does not go on for now."""
        self._progress.update(self._task, stage=escape(reason), left="")

    def close(self) -> None:
        """Take the bar away."""
        self._progress.remove_task(self._task)
