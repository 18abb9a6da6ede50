"""The command line. Commands import what they need when they run, so help is fast."""

import sys

from serve_app.cli.commands import app

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line as a program."""
    if "--local" in sys.argv:
        from serve_app.separation import allocator

        allocator.restart_tuned()
    app(prog_name="stemserve")
