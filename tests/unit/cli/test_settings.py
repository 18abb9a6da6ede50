"""`stemserve settings` shows all of them and gives no secret away."""

import json
from typing import Any, Literal, get_args, get_origin

import pytest
from typer.testing import CliRunner

from serve_app.cli import app
from serve_app.settings import Settings

# Settings that take no one.
CHECKED = {"public_url": "https://stems.example", "trusted_proxies": "10.0.0.0/8"}

DATABASE = "postgresql://user:hunter2@db/stems"


def rows() -> dict[str, dict[str, Any]]:
    result = CliRunner().invoke(app, ["settings", "--json"])
    assert result.exit_code == 0
    return {row["name"]: row for row in json.loads(result.stdout)}


def test_every_setting_is_shown_with_its_variables_and_description() -> None:
    shown = rows()
    assert set(shown) == set(Settings.model_fields)
    assert all(row["description"] and row["environment"] for row in shown.values())
    assert shown["model"]["environment"] == ["STEMSERVE_MODEL"]
    assert "CORS_ORIGINS" in shown["cors_origins"]["environment"]


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_the_variables_that_are_shown_do_set_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in rows()[name]["environment"]:
        with monkeypatch.context() as patch:
            # Most can be a one; those with a choice of words take the last of them.
            kind = Settings.model_fields[name].annotation
            value = get_args(kind)[-1] if get_origin(kind) is Literal else "1"
            value = CHECKED.get(name, value)
            patch.setenv(variable, value)
            assert rows()[name]["is_set"], variable
    assert not rows()[name]["is_set"]


@pytest.mark.parametrize("arguments", [["settings"], ["settings", "--json"]])
def test_secrets_are_masked(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", DATABASE)
    monkeypatch.setenv("STEMSERVE_WEBHOOK_SECRETS", "hunter2 hunter2")
    result = CliRunner().invoke(app, arguments)
    assert "hunter2" not in result.stdout
    assert "***" in result.stdout


def test_people_get_names_that_are_not_cut() -> None:
    output = CliRunner().invoke(app, ["settings"]).stdout
    for row in rows().values():
        assert all(name in output for name in row["environment"])


def test_a_wrong_value_is_told_without_repeating_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STEMSERVE_MAX_QUEUED_JOBS", "hunter2")
    result = CliRunner().invoke(app, ["settings"])
    assert result.exit_code == 2
    assert "max_queued_jobs" in result.stderr.lower()
    assert "hunter2" not in result.output
