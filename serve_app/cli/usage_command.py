"""The command `stemserve usage`."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

_DAY = ["%Y-%m-%d"]


def usage(
    first: Annotated[
        datetime | None,
        typer.Option("--from", formats=_DAY, help="First day; default: 30 days ago."),
    ] = None,
    last: Annotated[
        datetime | None,
        typer.Option("--to", formats=_DAY, help="Last day; default: today."),
    ] = None,
    tenant: Annotated[
        str | None, typer.Option(help="Only this tenant; '' are jobs without one.")
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    config: Annotated[
        Path | None, typer.Option(help="Serve config to use instead of the local one.")
    ] = None,
) -> None:
    """Show what tenants used, by day (UTC), from the server's database."""
    from serve_app.cli import usage as usage_list

    days = tuple(None if each is None else each.date() for each in (first, last))
    form = "csv" if csv else "json" if json else "table"
    usage_list.show(usage_list.period(*days), tenant, form, config)
