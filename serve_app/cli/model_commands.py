"""The commands of `stemserve models`."""

from typing import Annotated

import typer

app = typer.Typer(help="List models and download their weights.", no_args_is_help=True)


@app.command("list")
def list_models(
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the models with their licences, training data, and cached weights."""
    from serve_app.cli import models

    models.show(as_json=json)


@app.command()
def pull(name: Annotated[str, typer.Argument(help="Name of a model.")]) -> None:
    """Download a model's weights into the cache; resumes an interrupted download."""
    from serve_app.cli import models

    models.pull(name)
