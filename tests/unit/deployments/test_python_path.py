"""Ray's workers find Python at any path, and import installed modules only."""

import shlex
import sys
from pathlib import Path

import pytest
from ray.core.generated.common_pb2 import JobConfig

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


def test_workers_do_not_import_from_the_current_directory(tmp_path: Path) -> None:
    config = python_path.InstalledOnly()
    # As ray.init does, without an option to omit it.
    config._py_driver_sys_path.append(str(tmp_path))
    told = JobConfig.FromString(config._serialize())
    assert list(told.py_driver_sys_path) == []
