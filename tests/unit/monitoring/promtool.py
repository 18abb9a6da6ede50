"""Prometheus' own checks, where they are installed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PROMTOOL = os.environ.get("PROMTOOL")


def run(*arguments: str | Path) -> None:
    """Run promtool; fail with what it says if it finds an error.

    Skips the test if it is not installed, except where PROMTOOL names it.
    """
    program = PROMTOOL or shutil.which("promtool")
    if program is None:
        pytest.skip("NOT TESTED: promtool is not installed (Debian: prometheus)")
    found = subprocess.run([program, *arguments], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
