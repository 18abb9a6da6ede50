"""Ray gets the path of Python in a form that bash reads as one word."""

import shlex
import sys

import pytest

from deployments import python_path


@pytest.mark.parametrize(
    "path",
    ["/home/me/my songs/.venv/bin/python", "/a/it's/python", "/a/$HOME (1)/python"],
)
def test_a_path_with_blanks_is_one_word(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", path)
    assert shlex.split(python_path.runtime_env()["py_executable"]) == [path]


def test_a_plain_path_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3.11")
    assert python_path.runtime_env() == {}
