"""Serve configs are found by their path or, if they are bundled, by their name."""

from pathlib import Path

import pytest

from serve_app.settings import serve_config
from serve_app.settings.serve_config import Application


@pytest.mark.parametrize("name", ["local", "local.yaml", "gpu", Path("gpu.yaml")])
def test_configs_of_the_package_are_known_by_name(
    name: str | Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    [application] = serve_config.applications(serve_config.find(name))
    assert (application.name, application.route_prefix) == ("stemserve", "/")
    assert isinstance(application.args, dict)


def test_a_file_of_ones_own_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("local.yaml").write_text("applications: [{args: {settings: {threads: 3}}}]")
    [application] = serve_config.applications(serve_config.find("local.yaml"))
    assert application.args == {"settings": {"threads": 3}}


def test_several_applications_are_those_that_are_listed_in_their_order(
    tmp_path: Path,
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        """
applications:
  - {name: two, route_prefix: /two, args: {settings: {threads: 3}}}
  - {name: one, route_prefix: /}
"""
    )
    assert serve_config.applications(path) == [
        Application("two", "/two", {"settings": {"threads": 3}}),
        Application("one", "/", {}),
    ]


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
        (b"a: [", "invalid YAML"),
        (b"\xff\xfe\x00", "invalid YAML"),
        (b"", "at least one"),
        (b"[]", "at least one"),
        (b"applications: 3", "at least one"),
        (b"applications: []", "at least one"),
        (b"applications: [{args: text}]", "mapping"),
        (b"applications: [text]", "mapping"),
        (b"applications: [{}, {}]", "each application must have a `name`"),
        (b"applications: [{name: ''}]", "each application must have a `name`"),
        (b"applications: [{name: 3}]", "each application must have a `name`"),
        (
            b"applications: [{name: a, route_prefix: /}, {name: b}]",
            "each application must have a `route_prefix`",
        ),
        (
            b"applications: [{name: a, route_prefix: /}, {name: a, route_prefix: /b}]",
            "two applications have the same `name`",
        ),
        (
            b"applications: [{name: a, route_prefix: /}, {name: b, route_prefix: /}]",
            "two applications have the same `route_prefix`",
        ),
    ],
)
def test_what_is_no_config_is_refused(
    content: bytes, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=reason) as caught:
        serve_config.applications(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
