"""The key of the environment is sent, or refused without being shown."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from serve_app.cli import credentials
from serve_app.cli.commands import app


@pytest.mark.parametrize("value", ["stemserve_abc", " stemserve_abc\r\n"])
def test_the_key_of_the_environment_is_sent(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv(credentials.VARIABLE, value)
    assert credentials.headers() == {"X-API-Key": "stemserve_abc"}


def test_without_a_key_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(credentials.VARIABLE, "")
    assert credentials.headers() == {}


@pytest.mark.parametrize("value", ["“stemserve_abc”", "stemserve abc", "a\nb"])
def test_what_can_t_be_a_key_is_refused_without_being_shown(
    monkeypatch: pytest.MonkeyPatch, value: str, tmp_path: Path, song: Path
) -> None:
    monkeypatch.setenv(credentials.VARIABLE, value)
    command = ["separate", str(song), "--out", str(tmp_path / "stems")]
    result = CliRunner().invoke(app, [*command, "--server", "http://127.0.0.1:9"])
    assert result.exit_code == 1
    assert "STEMSERVE_API_KEY has characters that no API key has" in result.stderr
    assert "stemserve_abc" not in result.output
    assert "Traceback" not in result.output
