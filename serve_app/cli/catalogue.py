"""The models and their weights, told and fetched at a terminal."""

import json
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from serve_app.cli.configuration import read_settings
from serve_app.separation.models import REGISTRY, ModelSpec, find
from serve_app.separation.weights import WeightsCache


@dataclass(frozen=True)
class Entry:
    """A model as it is listed; `weights` says whether they are at hand."""

    name: str
    description: str
    licence: str
    trained_on: str
    weights: str


def show(as_json: bool) -> None:
    """Print all models."""
    cache = _cache()
    entries = [_entry(spec, cache) for spec in REGISTRY.values()]
    if as_json:
        print(json.dumps([asdict(entry) for entry in entries], indent=2))
        return
    table = Table(title="Models", show_lines=True)
    table.add_column("model", no_wrap=True)
    table.add_column("about")
    for entry in entries:
        name = Text.assemble((entry.name, "bold"), (f"\n{entry.weights}", "dim"))
        about = f"{entry.description}\nlicence: {entry.licence}\n"
        table.add_row(name, Text(f"{about}trained on: {entry.trained_on}"))
    Console().print(table)


def pull(name: str) -> None:
    """Fetch the weights of a model; InvalidInput for an unknown one.

    Raises WeightsUnavailable when they can't be had.
    """
    spec = find(name)
    console = Console()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        task = bars.add_task(spec.name, total=None)
        path = _cache().pull(
            spec,
            lambda done, total: bars.update(task, completed=done, total=total),
        )
    print(path)


def _cache() -> WeightsCache:
    settings = read_settings()
    return WeightsCache(
        settings.weights_dir,
        mirror=settings.weights_mirror,
        timeout_seconds=settings.weights_timeout_seconds,
    )


def _entry(spec: ModelSpec, cache: WeightsCache) -> Entry:
    return Entry(
        name=spec.name,
        description=spec.description,
        licence=spec.licence,
        trained_on=spec.trained_on,
        weights=_weights(spec, cache),
    )


def _weights(spec: ModelSpec, cache: WeightsCache) -> str:
    if spec.weights.is_bundled:
        return "weights come with it"
    if cache.path(spec) is not None:
        return "weights in the cache"
    return "weights not fetched"
