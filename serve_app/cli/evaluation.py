"""`stemserve evaluate`: print the scores of the analysis on a dataset."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from threading import Event
from typing import Any

from rich.console import Console
from rich.table import Table

from serve_app.analysis import scores
from serve_app.analysis.scores import Estimate, Figures
from serve_app.cli import datasets
from serve_app.cli.configuration import read_settings
from serve_app.stems.beats import ListenerMaker, listener_maker
from serve_app.stems.reporter import heard


def run(folder: Path, as_json: bool) -> None:
    """Analyse the songs of a dataset locally, and print the scores."""
    songs = datasets.read(folder)
    make_listener = listener_maker(read_settings())
    console = Console(stderr=True)
    pairs = []
    with console.status("") as status:
        for place, each in enumerate(songs, 1):
            status.update(f"{place} of {len(songs)}: {each.path.name}")
            pairs.append((each.truth, told(each.path, make_listener)))
    found = scores.figures(pairs)
    if as_json:
        print(json.dumps({"dataset": str(folder), **asdict(found)}))
        return
    table = Table(show_header=False)
    for name, value in rows(found).items():
        table.add_row(name, value)
    Console().print(table)


def told(path: Path, make_listener: ListenerMaker) -> Estimate:
    """Return the analysis of a song."""
    found: Mapping[str, Any] = heard(path, make_listener, Event()).finish().to_dict()
    return Estimate(
        bpm=found["bpm"],
        key=found["key"],
        key_confidence=found.get("key_confidence"),
        beats=_times(found.get("beats")),
        downbeats=_times(found.get("downbeats")),
    )


def _times(values: Sequence[float] | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(values)


def rows(found: Figures) -> dict[str, str]:
    """Return the scores as text, in per cent, by name."""
    shown = {
        "songs": str(found.songs),
        "songs of constant tempo": str(found.tempo_songs),
        "tempo Acc1": _percent(found.acc1),
        "tempo Acc2": _percent(found.acc2),
    }
    for name, share in found.errors.items():
        shown[
            f"tempo wrong by {name}" if name != "other" else "tempo wrong otherwise"
        ] = _percent(share)
    return {
        **shown,
        "beats F": _percent(found.beat_f),
        "downbeats F": _percent(found.downbeat_f),
        "key exact": _percent(found.key_exact),
        "key MIREX": _percent(found.mirex),
        f"keys with confidence >= {scores.SURE}": _percent(found.sure),
        "of these correct": _percent(found.sure_right),
    }


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
