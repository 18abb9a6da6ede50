"""Node, and the projects of npm that tests run with it."""

import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

# In CI, the required path of npm. Without it, tests are skipped if npm is not
# installed, or does not reach its registry.
NPM = os.environ.get("NPM")
# Node comes with the project: the versions of distributions are too old.
_MACHINES = {"x86_64": "x64", "aarch64": "arm64"}


def node_of(project: Path) -> Path:
    """Return the Node of a project; install the project if its lock has changed."""
    machine = _MACHINES.get(platform.machine(), platform.machine())
    node = modules_of(project) / f"node-linux-{machine}" / "bin" / "node"
    if not node.exists() and not NPM:
        pytest.skip(f"the project has no Node for this machine: {node.name}")
    return node


def modules_of(project: Path) -> Path:
    """Return the packages of a project; install them if its lock has changed."""
    modules, lock = project / "node_modules", project / "package-lock.json"
    installed = modules / "installed.json"
    if not installed.exists() or installed.read_bytes() != lock.read_bytes():
        _install(project)
        shutil.copy(lock, installed)
    return modules


def _install(project: Path) -> None:
    npm = NPM or shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    if done.returncode and not NPM:
        pytest.skip(f"npm failed: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr
