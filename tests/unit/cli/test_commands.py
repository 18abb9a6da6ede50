"""`stemserve` starts fast, prints its version, and execs the server."""

import os
import subprocess
import sys
from importlib.metadata import version

import pytest
from typer.testing import CliRunner

from serve_app.cli import app

HEAVY = ("torch", "librosa", "numba", "ray", "fastapi", "av", "httpx", "pydantic")


def test_version_is_that_of_the_package() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0
    assert result.stdout == f"stemserve {version('stemserve')}\n"


def test_help_names_every_command() -> None:
    result = CliRunner().invoke(app, ["--help"])
    for command in (
        "serve",
        "separate",
        "analyze",
        "export",
        "listen",
        "settings",
        "models",
    ):
        assert command in result.stdout


def test_help_imports_nothing_heavy() -> None:
    """So that help is fast."""
    code = "import sys, serve_app.cli; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert not set(HEAVY) & set(run.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], ["--host", "127.0.0.1", "--port", "8000"]),
        (
            ["--host", "::1", "--port", "80", "--config", "a b.yaml"],
            ["--host", "::1", "--port", "80", "--config", "a b.yaml"],
        ),
    ],
)
def test_serve_becomes_the_server(
    arguments: list[str], options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    became: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(os, "execv", lambda *call: became.append(call))
    CliRunner().invoke(app, ["serve", *arguments])
    expected = [sys.executable, "-P", "-m", "deployments", *options]
    assert became == [(sys.executable, expected)]
