"""The server reports at once why it can't start."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "deployments", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100)


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run("--host", "127.0.0.1", "--port", port)
    assert done.returncode == 2
    assert port in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_config_with_a_typo_is_named(tmp_path: Path) -> None:
    config = tmp_path / "typo.yaml"
    config.write_text("applications: [{args: {separater: {}}}]")
    done = run("--config", str(config))
    assert done.returncode == 2
    assert "separater" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_config_that_is_missing_is_named() -> None:
    done = run("--config", "nowhere.yaml")
    assert done.returncode == 2
    assert "nowhere.yaml" in done.stderr


def test_a_default_model_that_is_not_allowed_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STEMSERVE_MODEL", "hdemucs_high_musdb")
    monkeypatch.setenv("STEMSERVE_ALLOWED_LICENCES", "permissive")
    done = run()
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    for part in ("hdemucs_high_musdb", "STEMSERVE_ALLOWED_LICENCES", "demo"):
        assert part in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("STEMSERVE_THREADS", "many", "STEMSERVE_THREADS=many must be a whole number"),
        ("STEMSERVE_STORAGE", "one two", "STEMSERVE_STORAGE_SALT"),
        ("STEMSERVE_WEBHOOK_SECRETS", "short", "24 to 64 bytes"),
    ],
)
def test_a_setting_that_cannot_be_is_named(
    name: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("STEMSERVE_MODLE", "demo")
    done = run()
    assert done.returncode == 2
    warning, problem = done.stderr.splitlines()
    assert "Did you mean STEMSERVE_MODEL?" in warning
    assert words in problem
