"""`stemserve settings`, and the settings of the other commands."""

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

from serve_app.settings import Settings, serve_config
from serve_app.settings import check as settings_check
from serve_app.settings.check import Rule
from serve_app.settings.section import variables
from serve_app.stems.settings_rules import RULES

# The exit status that shells and typer use for wrong usage.
_WRONG_USE = 2


@dataclass(frozen=True)
class Row:
    """A setting: its value, masked if it is a secret, and the variables that set it.

    `source` is the variable that set the value, or `config`, or `default`.
    """

    name: str
    value: Any
    is_set: bool
    source: str
    environment: tuple[str, ...]
    description: str


def read_settings(
    config: Mapping[str, Any] | None = None, rules: Mapping[str, Rule] = RULES
) -> Settings:
    """Return the settings of the environment, overridden by those of a config.

    `rules` are those of the system that the command is for.

    Prints a warning for each unknown variable. Exits with a line for each wrong
    setting.
    """
    for line in settings_check.warnings():
        print(f"Warning: {line}", file=sys.stderr)
    try:
        return settings_check.read(config, rules)
    except settings_check.WrongSettings as err:
        print(err, file=sys.stderr)
        raise typer.Exit(_WRONG_USE) from err


def show(as_json: bool, config: Path | None = None) -> None:
    """Print every setting with its value and the source of the value."""
    given = settings_of(config)
    rows = list(_rows(read_settings(given), given))
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    table = Table(title="Settings", show_lines=True)
    # Names are never cut, so that they can be copied.
    table.add_column("setting and variables", no_wrap=True)
    table.add_column("value and source", overflow="fold")
    table.add_column("description")
    for row in rows:
        names = Text(row.name, "bold")
        names.append("".join(f"\n{name}" for name in row.environment), "dim")
        value = Text("" if row.value is None else str(row.value))
        value.stylize("bold" if row.is_set else "")
        value.append(f"\n{row.source}", "dim")
        table.add_row(names, value, Text(row.description))
    Console().print(table)


def settings_of(config: Path | None) -> Mapping[str, Any]:
    """Return the settings in a Serve config; exits with a line if it is not valid."""
    try:
        path = serve_config.find(config or serve_config.DEFAULT)
        given = _settings_in(path)
    except (OSError, ValueError) as err:
        print(err, file=sys.stderr)
        raise typer.Exit(_WRONG_USE) from err
    return given


def _settings_in(path: Path) -> Mapping[str, Any]:
    """Return the first application's settings; ValueError if they are no mapping."""
    first = serve_config.applications(path)[0]
    given = first.args.get("settings") or {}
    if not isinstance(given, dict):
        raise ValueError(f"{path}: `settings` must be a mapping of names to values.")
    return given


def _rows(settings: Settings, config: Mapping[str, Any]) -> Iterator[Row]:
    for name, field in type(settings).model_fields.items():
        yield Row(
            name=name,
            value=_json_value(getattr(settings, name)),
            is_set=name in settings.model_fields_set,
            source=settings_check.origin(name, config),
            environment=variables(name, field),
            description=field.description or "",
        )


def _json_value(value: Any) -> Any:
    """Return a value that JSON can hold; a secret is masked."""
    if isinstance(value, SecretStr):
        return str(value)
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)
    return value if isinstance(value, bool | int | float | None) else str(value)
