"""The commands of `stemserve library`."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Manage the library.", no_args_is_help=True)
_dead_letters = typer.Typer(
    help="List and retry tasks that failed, and messages that are no tasks.",
    no_args_is_help=True,
)
app.add_typer(_dead_letters, name="dead-letters")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Config = Annotated[
    Path | None, typer.Option(help="Serve config to use instead of the local one.")
]


@_dead_letters.command("list")
def list_dead_letters(
    limit: Annotated[int, typer.Option(min=1, help="How many to list.")] = 100,
    json: AsJson = False,
    config: Config = None,
) -> None:
    """List the latest dead letters, with the reasons."""
    from serve_app.cli import library

    library.show(limit, config, as_json=json)


@_dead_letters.command()
def retry(
    job_ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID...", help="Ids from `dead-letters list`."),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Retry all of them that are tasks.")
    ] = False,
    config: Config = None,
) -> None:
    """Send dead letters again, as new tasks."""
    from serve_app.cli import library

    if bool(job_ids) == every:
        raise typer.BadParameter("give either ids or --all")
    library.retry(job_ids or [], config)
