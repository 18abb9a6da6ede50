"""What can be typed after `stemserve storage`."""

from typing import Annotated

import typer

app = typer.Typer(help="The store that files are kept in.", no_args_is_help=True)


# Without it, an application of one command would have no names of commands.
@app.callback()
def _storage() -> None:
    pass


@app.command()
def lifecycle(
    days: Annotated[int, typer.Option(min=1, help="Days that files are kept.")] = 1,
) -> None:
    """Have the buckets themselves delete what was forgotten in them."""
    from serve_app.cli import lifecycle

    lifecycle.expire(days)
