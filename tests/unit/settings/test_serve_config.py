"""Serve configs are found by their path or, where they come with us, by their name."""

from pathlib import Path

import pytest

from serve_app.settings import serve_config


@pytest.mark.parametrize("name", ["local", "local.yaml", "gpu", Path("gpu.yaml")])
def test_configs_of_the_package_are_known_by_name(
    name: str | Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert isinstance(serve_config.application_args(serve_config.find(name)), dict)


def test_a_file_of_ones_own_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("local.yaml").write_text("applications: [{args: {settings: {threads: 3}}}]")
    args = serve_config.application_args(serve_config.find("local.yaml"))
    assert args == {"settings": {"threads": 3}}


@pytest.mark.parametrize(
    "name", ["nowhere.yaml", "configs/local.yml", "../local.yaml", "elsewhere/gpu", ""]
)
def test_what_is_missing_is_told_with_what_there_is(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="`gpu` and `local`"):
        serve_config.find(name)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a: [", "not YAML"),
        (b"\xff\xfe\x00", "not YAML"),
        (b"applications: 3", "exactly one"),
        (b"applications: [{args: text}]", "mapping"),
    ],
)
def test_what_is_no_config_is_refused(
    content: bytes, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=reason) as caught:
        serve_config.application_args(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
