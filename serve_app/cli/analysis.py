"""What songs are, told at a terminal."""

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from serve_app.cli.parallel import Crew, Interrupt, Track
from serve_app.cli.progress import Board, Manner, shown
from serve_app.cli.songs import find
from serve_app.cli.summary import Tally, clock
from serve_app.cli.work import Analyzer, BpmRange

_UNKNOWN = "-"
_PIPE_WIDTH = 1_000


def run(
    songs: Sequence[Path],
    server: str | None,
    manner: Manner,
    bpm_range: BpmRange = None,
) -> int:
    """Analyse songs by a server, or here if there is none, and print what they are.

    `bpm_range` is between which tempos theirs are. Returns how many failed.
    """
    wanted = find(songs)
    interrupt = Interrupt()
    tally = Tally(len(wanted), "analysed")
    with interrupt.heeded(), Board(manner.is_quiet) as board:
        interrupt.on_leave = [board.abandon]
        with _analyzer(server, board, interrupt, bpm_range) as analyzer:

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
    server: str | None, board: Board, interrupt: Interrupt, bpm_range: BpmRange
) -> AbstractContextManager[Analyzer]:
    if server is None:
        from serve_app.cli import local

        return local.analyzer(board, interrupt, bpm_range)
    from serve_app.cli import remote

    return remote.analyzer(server, board, interrupt, bpm_range)


def _print(
    found: Mapping[Path, Mapping[str, Any]], board: Board, manner: Manner
) -> None:
    """Print what songs are in the order given, not in which they came."""
    if manner.as_json:
        for song, facts in found.items():
            board.say(json.dumps({"file": str(song), **facts}))
    elif found:
        console = Console()
        if not console.is_terminal:
            # Who reads a pipe wants a song on each line, whatever its name.
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
            shown(song.name),
            f"{facts['bpm']:.2f}" if has_beat else _UNKNOWN,
            _share(facts.get("bpm_confidence")),
            facts["key"] if has_key else _UNKNOWN,
            _share(facts.get("key_confidence")),
            facts.get("camelot", _UNKNOWN) if has_key else _UNKNOWN,
            facts.get("open_key", _UNKNOWN) if has_key else _UNKNOWN,
            clock(facts["duration"]) if "duration" in facts else _UNKNOWN,
        ]
        table.add_row(*(Text(str(cell)) for cell in cells))
    return table


def _share(confidence: float | None) -> str:
    return f"{confidence:.0%}" if confidence else _UNKNOWN
