"""`stemserve usage`: what tenants used."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from serve_app.cli.configuration import read_settings, settings_of
from serve_app.database import Database
from serve_app.usage import csv_form
from serve_app.usage.store import Period, UsageStore, period_of
from serve_app.usage.table import day_of
from serve_app.usage.used import DayUsage

_NO_TENANT = "(none)"


def period(first: date | None, last: date | None) -> Period:
    """Return the days to list; raise InvalidInput if the first is after the last."""
    return period_of(first, last, day_of(datetime.now(UTC)))


def show(given: Period, tenant: str | None, form: str, config: Path | None) -> None:
    """Print a period as `csv`, `json` or a `table`; raise Unavailable."""
    settings = read_settings(settings_of(config))
    with Database(settings.effective_database_url) as database:
        days = UsageStore(database).listed(given, tenant)
    if form == "csv":
        sys.stdout.write(csv_form.as_csv(days))
    elif form == "json":
        print(json.dumps([asdict(each) for each in days], indent=2, default=str))
    else:
        Console().print(_table(days))


def _table(days: Sequence[DayUsage]) -> Table:
    table = Table("day", "tenant", "jobs", "audio", "device", "in", "out")
    for each in days:
        table.add_row(
            str(each.day),
            each.tenant or _NO_TENANT,
            str(each.jobs),
            f"{each.audio_seconds / 60:.1f} min",
            f"{each.device_seconds:.1f} s",
            f"{each.bytes_in / 1e6:.1f} MB",
            f"{each.bytes_out / 1e6:.1f} MB",
        )
    return table
