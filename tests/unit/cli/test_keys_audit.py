"""`stemserve keys` writes the audit log on standard error, and no secret."""

import json
import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from serve_app.access import api_key
from serve_app.cli import app


@pytest.fixture(autouse=True)
def _a_server_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMSERVE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("DATABASE_URL", raising=False)


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["keys", *arguments])
    assert result.exit_code == 0, result.output
    return result


def lines(result: Result) -> list[dict[str, Any]]:
    return [
        json.loads(line) for line in result.stderr.splitlines() if line.startswith("{")
    ]


def test_each_command_names_its_user_and_the_key() -> None:
    created = run("create", "dj-app")
    key = api_key.parsed(created.stdout.strip())
    assert key is not None
    results = [created, run("list"), run("rotate", key.id), run("revoke", key.id)]
    found = [line for result in results for line in lines(result)]
    assert [(line["event"], line.get("key")) for line in found] == [
        ("key created", key.id),
        ("keys listed", None),
        ("key rotated", key.id),
        ("key revoked", key.id),
    ]
    user = pwd.getpwuid(os.getuid()).pw_name
    assert {line["credential"] for line in found} == {f"cli:{user}"}
    assert not any(key.text in result.stderr for result in results)


def test_it_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMSERVE_AUDIT", "off")
    assert lines(run("create", "dj-app")) == []
