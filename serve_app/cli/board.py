"""What a person sees while songs are worked on: a bar for each, a line when done."""

import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from serve_app import titles

_LONGEST_NAME = 40


def shown(text: str | Path) -> str:
    """Return a text, such as a file's name, as any terminal can show it on one line."""
    characters = titles.readable(str(text))
    printable = (char if char.isprintable() else "\ufffd" for char in characters)
    encoding = sys.stdout.encoding or "utf-8"
    return "".join(printable).encode(encoding, "replace").decode(encoding)


class Board:
    """Bars of what is going on, on a terminal; elsewhere only the lines said."""

    def __init__(self) -> None:
        console = Console()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            TextColumn("{task.fields[stage]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            # Lines that are printed meanwhile appear above the bars.
            redirect_stderr=sys.stderr.isatty(),
        )

    def __enter__(self) -> "Board":
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def bar(self, title: str) -> "Bar":
        """Add a bar; it goes when it is closed."""
        name = shown(title)
        if len(name) > _LONGEST_NAME:
            name = f"{name[: _LONGEST_NAME - 1]}…"
        task = self._progress.add_task(escape(name), total=1.0, stage="")
        return Bar(self._progress, task)

    def say(self, line: str) -> None:
        """Print a line of the result."""
        # In one piece: songs that end at once would mix their lines.
        print(f"{shown(line)}\n", end="", flush=True)

    def complain(self, line: str) -> None:
        """Print a line about what went wrong."""
        print(f"{line}\n", end="", file=sys.stderr, flush=True)


class Bar:
    """One bar on a board."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def show(self, stage: str, fraction: float) -> None:
        """Say what is being done and how much of all is done, 0 to 1."""
        self._progress.update(self._task, stage=escape(stage), completed=fraction)

    def close(self) -> None:
        """Take the bar away."""
        self._progress.remove_task(self._task)
