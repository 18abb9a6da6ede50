"""`stemserve models`: list the models, download their weights."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields

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
from serve_app.errors import InvalidInput
from serve_app.separation.licences import VARIABLE, Licence, Licences, refusal
from serve_app.separation.models import (
    REGISTRY,
    ModelSpec,
    Weighted,
    check_allowed,
    find,
)
from serve_app.separation.weights import WeightsCache
from serve_app.settings import Settings
from serve_app.stems.beats import CHECKPOINTS


@dataclass(frozen=True)
class Entry:
    """A model in the list.

    `weights` says where its weights are; `refusal` says why the settings don't allow
    the model, or is None.
    """

    name: str
    description: str
    licence: str
    licences: Licences
    refusal: str | None
    trained_on: str
    weights: str


def show(as_json: bool) -> None:
    """Print all models."""
    settings = read_settings()
    entries = [_entry(spec, settings) for spec in REGISTRY.values()]
    if as_json:
        print(json.dumps([asdict(entry) for entry in entries], indent=2))
        return
    allowed = settings.allowed_licences
    caption = None if allowed == "any" else f"{VARIABLE}={allowed}"
    table = Table(title="Models", show_lines=True, caption=caption)
    table.add_column("model", no_wrap=True)
    table.add_column("about")
    for entry in entries:
        name = Text.assemble((entry.name, "bold"), (f"\n{entry.weights}", "dim"))
        if entry.refusal:
            name.append("\nnot allowed", "bold red")
        table.add_row(name, Text("\n".join(_lines(entry))))
    Console().print(table)


def pull(name: str) -> None:
    """Download the weights of a separation model, or of a beat tracker; print the path.

    Raises InvalidInput for a model that is unknown or not allowed, and
    WeightsUnavailable if the weights can't be downloaded.
    """
    settings = read_settings()
    spec: Weighted
    if name in CHECKPOINTS:
        spec = CHECKPOINTS[name]
    elif name not in REGISTRY:
        names = ", ".join([*REGISTRY, *CHECKPOINTS])
        raise InvalidInput(f"There is no model {name!r}. Choose one of: {names}.")
    else:
        model = spec = find(name)
        check_allowed(model, settings.allowed_licences)
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
        path = _cache(settings).pull(
            spec,
            lambda done, total: bars.update(task, completed=done, total=total),
        )
    print(path)


def _entry(spec: ModelSpec, settings: Settings) -> Entry:
    return Entry(
        name=spec.name,
        description=spec.description,
        licence=spec.licence,
        licences=spec.licences,
        refusal=refusal(spec.name, spec.licences, settings.allowed_licences),
        trained_on=spec.trained_on,
        weights=_weights(spec, _cache(settings)),
    )


def _lines(entry: Entry) -> Iterator[str]:
    yield entry.description
    yield f"trained on: {entry.trained_on}"
    for field in fields(entry.licences):
        licence: Licence = getattr(entry.licences, field.name)
        what = field.name.replace("_", " ")
        yield f"licence of the {what}: {licence.name}. {licence.summary} {licence.url}"


def _cache(settings: Settings) -> WeightsCache:
    return WeightsCache(
        settings.weights_dir,
        mirror=settings.weights_mirror,
        timeout_seconds=settings.weights_timeout_seconds,
    )


def _weights(spec: ModelSpec, cache: WeightsCache) -> str:
    if spec.weights.is_bundled:
        return "weights included"
    if cache.path(spec) is not None:
        return "weights in the cache"
    return "weights not fetched"
