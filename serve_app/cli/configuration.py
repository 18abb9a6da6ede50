"""The settings, as a person at a terminal is told of them."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import typer
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table
from rich.text import Text

from serve_app.settings import Settings, serve_config, variables
from serve_app.settings import check as settings_check
from serve_app.stems.settings_rules import RULES

# What shells and typer use for a command that was called wrongly.
_WRONG_USE = 2


@dataclass(frozen=True)
class Row:
    """A setting: its value, masked if it is a secret, and the variables that set it.

    `source` is the variable that has set it, `config` or `default`.
    """

    name: str
    value: Any
    is_set: bool
    source: str
    environment: tuple[str, ...]
    description: str


def read_settings(config: Mapping[str, Any] | None = None) -> Settings:
    """Return the settings of this environment, under those of a config.

    Warns of variables that set nothing; leaves with a line on each wrong setting.
    """
    for line in settings_check.warnings():
        print(f"Warning: {line}", file=sys.stderr)
    try:
        return settings_check.read(config, RULES)
    except settings_check.WrongSettings as err:
        print(err, file=sys.stderr)
        raise typer.Exit(_WRONG_USE) from err


def show(as_json: bool, config: Path | None = None) -> None:
    """Print every setting, with where its value comes from."""
    given = _settings_of(config)
    rows = list(_rows(read_settings(given), given))
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    table = Table(title="Settings", show_lines=True)
    # Names are for copying: they are never cut.
    table.add_column("setting and its variables", no_wrap=True)
    table.add_column("value, and where it is from", overflow="fold")
    table.add_column("what it is")
    for row in rows:
        names = Text(row.name, "bold")
        names.append("".join(f"\n{name}" for name in row.environment), "dim")
        value = Text("" if row.value is None else str(row.value))
        value.stylize("bold" if row.is_set else "")
        value.append(f"\n{row.source}", "dim")
        table.add_row(names, value, Text(row.description))
    Console().print(table)


def _settings_of(config: Path | None) -> Mapping[str, Any]:
    """Return the settings in a Serve config; leaves with a line if it is none."""
    try:
        path = serve_config.find(config or serve_config.DEFAULT)
        given = _settings_in(path)
    except (OSError, ValueError) as err:
        print(err, file=sys.stderr)
        raise typer.Exit(_WRONG_USE) from err
    return given


def _settings_in(path: Path) -> Mapping[str, Any]:
    """Return the settings of the first application; ValueError if they are none."""
    first = serve_config.applications(path)[0]
    given = first.args.get("settings") or {}
    if not isinstance(given, dict):
        raise ValueError(f"{path}: `settings` must be a mapping of names to values.")
    return given


def _rows(settings: Settings, config: Mapping[str, Any]) -> Iterator[Row]:
    for name, field in type(settings).model_fields.items():
        yield Row(
            name=name,
            value=_plain(getattr(settings, name)),
            is_set=name in settings.model_fields_set,
            source=settings_check.origin(name, config),
            environment=variables(name, field),
            description=field.description or "",
        )


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it; a secret shows only that it is there."""
    if isinstance(value, SecretStr):
        return str(value)
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)
    return value if isinstance(value, bool | int | float | None) else str(value)
