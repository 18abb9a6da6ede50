"""`stemserve check` prints faults by lines, and its exit status says whether."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from serve_app.cli import app

GOOD = "applications: [{name: a, import_path: 'deployments.app:build'}]\n"


def run(*arguments: str, stdin: str = "") -> tuple[int, str]:
    result = CliRunner().invoke(app, ["check", *arguments], input=stdin)
    return result.exit_code, result.output


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(GOOD)
    return path


def test_a_config_without_faults_is_0(config: Path) -> None:
    assert run(str(config)) == (0, f"{config}: no faults found\n")


def test_faults_are_1_and_have_file_and_line(config: Path) -> None:
    config.write_text(f"{GOOD}http_option: {{}}\n")
    assert run(str(config)) == (
        1,
        f"{config}:2: unknown name `http_option`. Did you mean `http_options`?\n",
    )


def test_what_cannot_be_read_is_2(config: Path, tmp_path: Path) -> None:
    missing = tmp_path / "nothing.yaml"
    status, said = run(str(missing), str(config))
    assert status == 2
    assert f"\n{missing}: no such file" in f"\n{said}"
    assert f"{config}: no faults found" in said
    config.write_bytes(b"\xff\xfe")
    assert run(str(config))[0] == 2
    config.write_text("apiVersion: v1\nkind: Secret\n")
    assert run(str(config))[0] == 2


def test_standard_input_is_read(config: Path) -> None:
    status, said = run("-", stdin="applications: {}")
    assert status == 1
    assert said.startswith("standard input:1: ")


@pytest.mark.parametrize("name", ["local", "gpu"])
def test_bundled_configs_are_known_by_name(name: str) -> None:
    assert run(name)[0] == 0
