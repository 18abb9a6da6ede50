"""A server under light random load, while its replicas are killed, loses nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROFILE = Path("configs/load/evening.yaml")


@pytest.mark.timeout(600)
def test_five_minutes_of_a_night(tmp_path: Path) -> None:
    """`make night` is the same for two hours, and with stricter limits."""
    command = [sys.executable, "-m", "tools.load", "--profile", str(PROFILE)]
    done = subprocess.run(
        [*command, "--fake-model", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "report.json").read_text())
    assert sum(found["killed"].values()) >= 3
    assert found["calls"]["POST /separate"]["responses"] >= 8
    # Something was there that could have been left.
    assert found["footprint"]["disk"]["peak"] > 10
    assert found["footprint"]["rows"]["peak"] > 3
