"""What can be typed after `stemserve models`."""

from typing import Annotated

import typer

app = typer.Typer(help="The models that songs are separated by.", no_args_is_help=True)


@app.command("list")
def list_models(
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the models, where their weights come from and what they were trained on."""
    from serve_app.cli import models

    models.show(as_json=json)


@app.command()
def pull(name: Annotated[str, typer.Argument(help="Name of a model.")]) -> None:
    """Fetch a model's weights into the cache, or go on where that was cut."""
    from serve_app.cli import models

    models.pull(name)
