"""The commands of `stemserve storage`."""

from typing import Annotated

import typer

app = typer.Typer(help="Manage the storage of files.", no_args_is_help=True)


# With a single command and no callback, typer would drop the command's name.
@app.callback()
def _storage() -> None:
    pass


@app.command()
def lifecycle(
    days: Annotated[
        int, typer.Option(min=1, help="Days after which files are deleted.")
    ] = 1,
) -> None:
    """Set expiry rules on the buckets, as a backstop: old files are deleted by S3."""
    from serve_app.cli import lifecycle

    lifecycle.expire(days)
