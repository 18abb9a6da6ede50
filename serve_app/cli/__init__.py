"""The command line. What a command needs is imported when it runs: help is quick."""

from serve_app.cli.commands import app

__all__ = ["app"]
