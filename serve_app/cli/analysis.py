"""`stemserve analyze`: print the tempo and the key of songs."""

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from serve_app.cli.parallel import Interrupt, Track, Workers
from serve_app.cli.progress import Display, OutputMode, printable
from serve_app.cli.songs import find
from serve_app.cli.summary import Tally, format_clock
from serve_app.cli.work import Analyzer, BpmRange

_UNKNOWN = "-"
_PIPE_WIDTH = 1_000


def run(
    songs: Sequence[Path],
    server: str | None,
    mode: OutputMode,
    bpm_range: BpmRange = None,
) -> int:
    """Analyse songs on `server`, or locally if it is None, and print the results.

    `bpm_range` gives the songs' lowest and highest possible tempo, if they are known.
    Returns the number of songs that failed.
    """
    wanted = find(songs)
    interrupt = Interrupt()
    tally = Tally(len(wanted), "analysed")
    with interrupt.handling_signals(), Display(mode.is_quiet) as display:
        interrupt.on_exit = [display.restore_terminal]
        with _analyzer(server, display, interrupt, bpm_range) as analyzer:

            def work(song: Path, track: Track) -> Mapping[str, Any]:
                facts = analyzer.analyze(song, track)
                tally.done(facts.get("duration"))
                return facts

            workers = Workers(
                display, interrupt, work, analyzer.songs_at_once, tally.failed
            )
            found = workers.run(wanted)
        _print({song: found[song] for song in wanted if song in found}, display, mode)
        display.print_summary(tally.summary(), mode)
    return len(tally.failures)


def _analyzer(
    server: str | None, display: Display, interrupt: Interrupt, bpm_range: BpmRange
) -> AbstractContextManager[Analyzer]:
    if server is None:
        from serve_app.cli import local

        return local.analyzer(display, interrupt, bpm_range)
    from serve_app.cli import remote

    return remote.analyzer(server, display, interrupt, bpm_range)


def _print(
    found: Mapping[Path, Mapping[str, Any]], display: Display, mode: OutputMode
) -> None:
    """Print results in the order of the arguments, not of completion."""
    if mode.as_json:
        for song, facts in found.items():
            display.print_line(json.dumps({"file": str(song), **facts}))
    elif found:
        console = Console()
        if not console.is_terminal:
            # In a pipe each song is one line, however long its name.
            console = Console(width=_PIPE_WIDTH)
        console.print(_table(found))


def _table(found: Mapping[Path, Mapping[str, Any]]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("song", overflow="fold")
    for name in ("bpm", "sure", "key", "sure", "camelot", "open key", "length"):
        table.add_column(name, no_wrap=True)
    for song, facts in found.items():
        has_beat = facts.get("bpm_confidence") != 0
        has_key = facts.get("key_confidence") != 0
        cells = [
            printable(song.name),
            f"{facts['bpm']:.2f}" if has_beat else _UNKNOWN,
            _share(facts.get("bpm_confidence")),
            facts["key"] if has_key else _UNKNOWN,
            _share(facts.get("key_confidence")),
            facts.get("camelot", _UNKNOWN) if has_key else _UNKNOWN,
            facts.get("open_key", _UNKNOWN) if has_key else _UNKNOWN,
            format_clock(facts["duration"]) if "duration" in facts else _UNKNOWN,
        ]
        table.add_row(*(Text(str(cell)) for cell in cells))
    return table


def _share(confidence: float | None) -> str:
    return f"{confidence:.0%}" if confidence else _UNKNOWN
