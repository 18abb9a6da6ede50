"""`stemserve keys` creates, lists, rotates and revokes keys."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from serve_app.access import api_key
from serve_app.access.api_key import KeyText
from serve_app.access.keys import ApiKey, KeyStore
from serve_app.access.server_secret import server_secret
from serve_app.cli import app
from serve_app.database import Database


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A server that has never run: there is no database."""
    path = tmp_path / "data"
    monkeypatch.setenv("STEMSERVE_DATA_DIR", str(path))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    return path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["keys", *arguments])


def created(*arguments: str) -> dict[str, Any]:
    result = run("create", *arguments, "--json")
    assert result.exit_code == 0, result.output
    key: dict[str, Any] = json.loads(result.stdout)
    return key


def listed() -> list[dict[str, Any]]:
    result = run("list", "--json")
    assert result.exit_code == 0, result.output
    keys: list[dict[str, Any]] = json.loads(result.stdout)
    return keys


def stored(data_dir: Path, text: KeyText) -> ApiKey:
    """Return a key as a server would find it; check its text."""
    with Database(f"sqlite:///{data_dir / 'jobs.sqlite3'}") as database:
        store = KeyStore(database, lambda: datetime.now(UTC), server_secret(database))
        key = store.find(text.id)
    assert key is not None
    assert store.is_text_of(text, key)
    return key


def test_a_script_reads_the_key_alone(data_dir: Path) -> None:
    result = run("create", "dj-app")
    assert result.exit_code == 0, result.output
    text = api_key.parsed(result.stdout.removesuffix("\n"))
    assert text is not None
    assert text.id in result.stderr
    assert text.text not in result.stderr
    key = stored(data_dir, text)
    assert (key.name, key.tenant) == ("dj-app", "dj-app")
    assert key.scopes == {"*:read", "*:write"}


def test_a_key_has_the_properties_that_were_given(data_dir: Path) -> None:
    key = created(
        *("app", "--tenant", "*", "--scope", "stems:read", "--scope", "admin"),
        *("--expires-in-days", "0.5", "--jobs-queued", "3"),
        *("--audio-minutes-per-day", "90.5"),
    )
    assert key["tenant"] == "*"
    assert key["scopes"] == ["admin", "stems:read"]
    assert key["quotas"] == {"jobs_queued": 3, "audio_minutes_per_day": 90.5}
    left = datetime.fromisoformat(key["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=11.9) < left <= timedelta(hours=12)
    text = api_key.parsed(key["key"])
    assert text is not None
    assert stored(data_dir, text).tenant == "*"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["app", "--scope", "everything"], "is not a scope"),
        ([" app"], "NAME: must be printable ASCII"),
        (["á"], "NAME: must be printable ASCII"),
        (["app", "--tenant", "a\nb"], "--tenant: must be printable ASCII"),
        (["app", "--expires-in-days", "0"], "in the future"),
    ],
)
def test_invalid_properties_are_explained(arguments: list[str], said: str) -> None:
    result = run("create", *arguments)
    assert result.exit_code == 1
    assert said in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""
    assert listed() == []


def test_a_scope_of_a_system_that_is_not_run_yet_is_a_warning() -> None:
    result = run("create", "app", "--scope", "sterns:read")
    assert result.exit_code == 0
    assert "no system 'sterns'" in result.stderr
    assert "stems" in result.stderr
    assert api_key.parsed(result.stdout.removesuffix("\n")) is not None


def test_a_list_has_all_ids_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    assert listed() == []
    first, second = created("one"), created("two", "--expires-in-days", "30")
    run("revoke", first["id"])
    assert [(key["name"], key["state"]) for key in listed()] == [
        ("one", "revoked"),
        ("two", "valid"),
    ]
    monkeypatch.setenv("COLUMNS", "50")
    result = run("list")
    for key in (first, second):
        assert key["id"] in result.stdout
        assert key["key"][23:] not in result.stdout + json.dumps(listed())


def test_a_rotated_key_is_replaced() -> None:
    old = created("app", "--scope", "stems:read")
    result = run("rotate", old["id"], "--overlap-hours", "1")
    assert result.exit_code == 0, result.output
    text = api_key.parsed(result.stdout.removesuffix("\n"))
    assert text is not None
    first, second = listed()
    assert second["id"] == text.id
    assert second["replaces"] == old["id"]
    assert second["scopes"] == ["stems:read"]
    left = datetime.fromisoformat(first["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=59) < left <= timedelta(hours=1)


def test_a_revoked_key_is_named() -> None:
    key = created("app")
    result = run("revoke", key["id"])
    assert result.exit_code == 0
    assert key["id"] in result.stdout
    again = run("revoke", key["id"], "--json")
    assert json.loads(again.stdout)["state"] == "revoked"


@pytest.mark.parametrize("command", ["rotate", "revoke"])
def test_an_unknown_key_is_said_to_be_unknown(command: str) -> None:
    result = run(command, "unknown")
    assert result.exit_code == 1
    assert "'unknown'" in result.stderr
    assert "stemserve keys list" in result.stderr


def test_a_wrong_setting_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMSERVE_ACCESS_SECRET", "short")
    result = run("create", "app")
    assert result.exit_code == 2
    assert "STEMSERVE_ACCESS_SECRET" in result.stderr
    assert "short" not in result.stderr.replace("shorter", "")
