"""What songs are, told at a terminal."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from serve_app.cli.board import shown


def run(songs: Sequence[Path], server: str | None, as_json: bool) -> int:
    """Analyse songs by a server, or here if there is none, and print what they are.

    Returns how many failed.
    """
    wanted = tuple(dict.fromkeys(songs))
    if server is None:
        from serve_app.cli import here

        found = here.analyze(wanted)
    else:
        from serve_app.cli import there

        found = there.analyze(wanted, server)
    # In the order they were asked for, not in which they came.
    ordered = {song: found[song] for song in wanted if song in found}
    if as_json:
        for song, facts in ordered.items():
            print(json.dumps({"file": str(song), **facts}))
    elif ordered:
        Console().print(_table(ordered))
    return len(wanted) - len(found)


def _table(found: Mapping[Path, Mapping[str, Any]]) -> Table:
    table = Table("song", "bpm", "key", "camelot", "open key", "sure", "length", "rate")
    for song, facts in found.items():
        cells = [
            shown(song),
            f"{facts['bpm']:.1f}",
            facts["key"],
            facts.get("camelot", ""),
            facts.get("open_key", ""),
            f"{facts['key_confidence']:.0%}" if "key_confidence" in facts else "",
            _length(facts["duration"]),
            f"{facts['sample_rate']} Hz",
        ]
        table.add_row(*(Text(str(cell)) for cell in cells))
    return table


def _length(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"
