"""The settings, as a person at a terminal is told of them."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import typer
from pydantic import AliasChoices, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from rich.console import Console
from rich.table import Table
from rich.text import Text

from serve_app.settings import Settings

# What shells and typer use for a command that was called wrongly.
_WRONG_USE = 2


@dataclass(frozen=True)
class Row:
    """A setting: its value, masked if it is a secret, and the variables that set it."""

    name: str
    value: Any
    is_set: bool
    environment: tuple[str, ...]
    description: str


def read_settings() -> Settings:
    """Return the settings of this environment; leave with a word on each wrong one.

    The wrong value is not repeated: it may be a secret.
    """
    try:
        return Settings()
    except ValidationError as err:
        for error in err.errors(include_input=False, include_url=False):
            name = ".".join(str(part) for part in error["loc"])
            print(f"{name}: {error['msg']}", file=sys.stderr)
        raise typer.Exit(_WRONG_USE) from err


def show(as_json: bool) -> None:
    """Print every setting."""
    rows = list(_rows(read_settings()))
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    table = Table(title="Settings", show_lines=True)
    # Names are for copying: they are never cut.
    table.add_column("setting and its variables", no_wrap=True)
    table.add_column("value", overflow="fold")
    table.add_column("what it is")
    for row in rows:
        names = Text(row.name, "bold")
        names.append("".join(f"\n{name}" for name in row.environment), "dim")
        value = "" if row.value is None else str(row.value)
        style = "bold" if row.is_set else ""
        table.add_row(names, Text(value, style), Text(row.description))
    Console().print(table)


def _rows(settings: Settings) -> Iterator[Row]:
    for name, field in type(settings).model_fields.items():
        yield Row(
            name=name,
            value=_plain(getattr(settings, name)),
            is_set=name in settings.model_fields_set,
            environment=_environment(name, field),
            description=field.description or "",
        )


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it; a secret shows only that it is there."""
    if isinstance(value, SecretStr):
        return str(value)
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)
    return value if isinstance(value, bool | int | float | None) else str(value)


def _environment(name: str, field: FieldInfo) -> tuple[str, ...]:
    if isinstance(field.validation_alias, AliasChoices):
        choices = field.validation_alias.choices
        return tuple(choice for choice in choices if isinstance(choice, str))
    prefix = Settings.model_config.get("env_prefix", "")
    return (f"{prefix}{name}".upper(),)
