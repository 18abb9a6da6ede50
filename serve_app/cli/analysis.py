"""What songs are, told at a terminal."""

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from serve_app.cli.parallel import Crew, Interrupt, Track
from serve_app.cli.progress import Board, Manner, shown
from serve_app.cli.songs import find
from serve_app.cli.summary import Tally, clock
from serve_app.cli.work import Analyzer


def run(songs: Sequence[Path], server: str | None, manner: Manner) -> int:
    """Analyse songs by a server, or here if there is none, and print what they are.

    Returns how many failed.
    """
    wanted = find(songs)
    interrupt = Interrupt()
    tally = Tally(len(wanted), "analysed")
    with interrupt.heeded(), Board(manner.is_quiet) as board:
        interrupt.on_leave = [board.abandon]
        with _analyzer(server, board, interrupt) as analyzer:

            def work(song: Path, track: Track) -> Mapping[str, Any]:
                facts = analyzer.analyze(song, track)
                tally.done(facts.get("duration"))
                return facts

            crew = Crew(board, interrupt, work, analyzer.songs_at_once, tally.failed)
            found = crew.run(wanted)
        _print({song: found[song] for song in wanted if song in found}, board, manner)
        board.sum_up(tally.summary(), manner)
    return len(tally.failures)


def _analyzer(
    server: str | None, board: Board, interrupt: Interrupt
) -> AbstractContextManager[Analyzer]:
    if server is None:
        from serve_app.cli import local

        return local.analyzer(board, interrupt)
    from serve_app.cli import remote

    return remote.analyzer(server, board, interrupt)


def _print(
    found: Mapping[Path, Mapping[str, Any]], board: Board, manner: Manner
) -> None:
    """Print what songs are in the order given, not in which they came."""
    if manner.as_json:
        for song, facts in found.items():
            board.say(json.dumps({"file": str(song), **facts}))
    elif found:
        Console().print(_table(found))


def _table(found: Mapping[Path, Mapping[str, Any]]) -> Table:
    table = Table("song", "bpm", "key", "camelot", "open key", "sure", "length", "rate")
    for song, facts in found.items():
        cells = [
            shown(song),
            f"{facts['bpm']:.2f}",
            facts["key"],
            facts.get("camelot", ""),
            facts.get("open_key", ""),
            f"{facts['key_confidence']:.0%}" if "key_confidence" in facts else "",
            clock(facts["duration"]) if "duration" in facts else "",
            f"{facts['sample_rate']} Hz" if "sample_rate" in facts else "",
        ]
        table.add_row(*(Text(str(cell)) for cell in cells))
    return table
