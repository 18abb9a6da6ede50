"""`stemserve settings` shows all settings and masks secrets."""

import json
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from typer.testing import CliRunner

from serve_app.cli import app
from serve_app.settings import Settings

DATABASE = "postgresql://user:hunter2@db/stems"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - a published one

# Most settings accept 1; these need other values.
SAMPLES = {
    "database_url": "sqlite:////tmp/jobs.sqlite3",
    "weights_mirror": "https://example.com",
    "model": "demo",
    "device": "cpu",
    "runtime": "torch",
    "decode_memory_bytes": "1000000000",
    "input_url_schemes": "http",
    "input_buckets": "s3://songs",
    "webhook_secrets": SECRET,
    "cors_origins": "https://example.com",
    "images_origins": "https://example.com",
    "images_max_pixels": "1000000",
    "allowed_hosts": "stems.example.com",
    "public_url": "https://example.com",
    "trusted_proxies": "10.0.0.0/8",
    "log_level": "DEBUG",
    "admin_key": "k" * 32,
    "access_secret": "s" * 32,
    "better_auth_url": "https://app.example.com",
    "jwks_url": "https://app.example.com/jwks",
    "link_seconds": "60",
}


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
            kind = Settings.model_fields[name].annotation
            words = get_args(kind) if get_origin(kind) is Literal else ("1",)
            patch.setenv(variable, SAMPLES.get(name, words[0]))
            row = rows()[name]
            assert (row["is_set"], row["source"]) == (True, variable)
    row = rows()[name]
    assert (row["is_set"], row["source"]) == (False, "default")


@pytest.mark.parametrize("arguments", [["settings"], ["settings", "--json"]])
def test_secrets_are_masked(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", DATABASE)
    monkeypatch.setenv("STEMSERVE_WEBHOOK_SECRETS", SECRET)
    result = CliRunner().invoke(app, arguments)
    assert "hunter2" not in result.stdout
    assert SECRET not in result.stdout
    assert "***" in result.stdout


def test_people_get_names_that_are_not_cut() -> None:
    output = CliRunner().invoke(app, ["settings"]).stdout
    for row in rows().values():
        assert all(name in output for name in row["environment"])


def test_a_wrong_value_is_told_with_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STEMSERVE_MAX_QUEUED_JOBS", "many")
    result = CliRunner().invoke(app, ["settings"])
    assert result.exit_code == 2
    [line] = result.stderr.splitlines()
    assert "STEMSERVE_MAX_QUEUED_JOBS=many must be a whole number" in line
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("STEMSERVE_WEBHOOK_SECRETS", "hunter2"),
        ("STEMSERVE_DATABASE_URL", "mysql://user:hunter2@db/stems"),
        ("STEMSERVE_STORAGE", "ftp://user:hunter2@host/x"),
        ("STEMSERVE_STORAGE", "s3://songs?secret=hunter2"),
    ],
)
def test_a_wrong_value_that_is_secret_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    result = CliRunner().invoke(app, ["settings"])
    assert result.exit_code == 2
    assert variable in result.stderr
    assert "hunter2" not in result.output


def test_a_variable_that_sets_nothing_is_told_beside_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STEMSERVE_MODLE", "demo")
    result = CliRunner().invoke(app, ["settings", "--json"])
    assert result.exit_code == 0
    assert "Did you mean STEMSERVE_MODEL?" in result.stderr
    assert json.loads(result.stdout)


def test_a_config_is_over_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("applications: [{args: {settings: {threads: 3}}}]")
    monkeypatch.setenv("STEMSERVE_THREADS", "5")
    monkeypatch.setenv("STEMSERVE_MODEL", "demo")
    command = ["settings", "--json", "--config", str(config)]
    result = CliRunner().invoke(app, command)
    shown = {row["name"]: row for row in json.loads(result.stdout)}
    assert (shown["threads"]["value"], shown["threads"]["source"]) == (3, "config")
    assert shown["model"]["source"] == "STEMSERVE_MODEL"


@pytest.mark.parametrize("content", ["", "applications: [{args: {settings: 3}}]"])
def test_a_config_that_is_none_is_told(tmp_path: Path, content: str) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(content)
    result = CliRunner().invoke(app, ["settings", "--config", str(config)])
    assert result.exit_code == 2
    assert str(config) in result.stderr
