"""The commands of the runbook exist, and its queries fit the database."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from sqlalchemy import text
from typer.testing import CliRunner

from serve_app.cli import app
from serve_app.database import Database
from tests.unit.monitoring.test_alerts import ROOT, RULES, RUNBOOK

_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
# Postgres' own.
_FOREIGN = "pg_stat_activity"


def commands(program: str) -> Iterator[list[str]]:
    """Yield the arguments of each line of the runbook that starts with a program."""
    for block in _BLOCK.findall((ROOT / RUNBOOK).read_text()):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == [program]:
                yield words[1:]


QUERIES = [query for (query,) in commands("db") if _FOREIGN not in query]


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_fits_the_database(query: str, tmp_path: Path) -> None:
    with (
        Database(f"sqlite:///{tmp_path / 'jobs.sqlite3'}") as database,
        database.writing() as connection,
    ):
        connection.execute(text(query))


@pytest.mark.parametrize("arguments", [*commands("stemserve")], ids=" ".join)
def test_a_command_exists(arguments: list[str]) -> None:
    names = [word for word in arguments if re.fullmatch("[a-z][a-z-]*", word)]
    result = CliRunner().invoke(app, [*names, "--help"])
    assert result.exit_code == 0, result.output


def test_its_command_makes_a_prometheus_rule() -> None:
    blocks = _BLOCK.findall((ROOT / RUNBOOK).read_text())
    command = next(block for block in blocks if "PrometheusRule" in block)
    printed = subprocess.run(
        ["bash", "-c", command.replace("| kubectl apply -f -", "")],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    made = yaml.safe_load(printed.stdout)
    assert made["kind"] == "PrometheusRule"
    assert made["spec"] == yaml.safe_load(RULES.read_text())
