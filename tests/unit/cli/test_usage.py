"""`stemserve usage`."""

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from serve_app.cli.commands import app
from serve_app.database import Database
from serve_app.usage import table
from serve_app.usage.used import JobUsage

USED = JobUsage(audio_seconds=180.0, device_seconds=2.5, bytes_in=9, bytes_out=44)
TODAY = datetime.now(UTC).date()


@pytest.fixture
def used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server's database in which two tenants, and jobs without, used something."""
    url = f"sqlite:///{tmp_path / 'jobs.sqlite3'}"
    monkeypatch.setenv("STEMSERVE_DATABASE_URL", url)
    with Database(url) as database, database.writing() as connection:
        table.add(connection, "acme", TODAY, USED)
        table.add(connection, "", TODAY, USED)
        table.add(connection, "acme", date(2026, 1, 1), USED)


def run(*arguments: str) -> str:
    found = CliRunner().invoke(app, ["usage", *arguments])
    assert found.exit_code == 0, found.output
    return found.stdout


@pytest.mark.usefixtures("used")
def test_an_operator_sees_each_tenant_and_day() -> None:
    shown = run()
    assert "acme" in shown
    assert "(none)" in shown
    assert "3.0 min" in shown
    assert "2026-01-01" not in shown


@pytest.mark.usefixtures("used")
def test_usage_is_printed_for_programs_too() -> None:
    found = json.loads(run("--json", "--tenant", "acme"))
    assert [(day["day"], day["tenant"], day["jobs"]) for day in found] == [
        (str(TODAY), "acme", 1)
    ]
    first, *rows = run("--csv").splitlines()
    assert first.startswith("day,tenant,jobs")
    assert len(rows) == 2


@pytest.mark.usefixtures("used")
def test_a_period_can_be_chosen() -> None:
    found = json.loads(run("--json", "--from", "2026-01-01", "--to", "2026-01-01"))
    assert [day["day"] for day in found] == ["2026-01-01"]


@pytest.mark.usefixtures("used")
def test_a_period_that_ends_before_it_begins_is_refused() -> None:
    found = CliRunner().invoke(
        app, ["usage", "--from", "2026-01-02", "--to", "2026-01-01"]
    )
    assert found.exit_code == 1
    assert "must not be after" in found.output
