"""The unit for systemd is valid, and its paths fit together."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from serve_app.settings import all_variables

ROOT = Path(__file__).parents[2]
UNIT = (ROOT / "configs" / "systemd" / "stemserve.service").read_text()
ENTRIES = [line.split("=", 1) for line in UNIT.splitlines() if "=" in line]


def test_variables_are_settings_in_the_units_own_directories() -> None:
    given = dict(value.split("=") for name, value in ENTRIES if name == "Environment")
    assert set(given) <= set(all_variables())
    own = dict(entry for entry in ENTRIES if entry[0].endswith("Directory"))
    assert given == {
        "STEMSERVE_DATA_DIR": f"/var/lib/{own['StateDirectory']}",
        "STEMSERVE_WEIGHTS_DIR": f"/var/cache/{own['CacheDirectory']}",
    }


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd is not installed"
)
def test_systemd_finds_no_fault(tmp_path: Path) -> None:
    # The program must exist, and the user.
    program = "/opt/stemserve/.venv/bin/stemserve"
    assert program in UNIT
    text = UNIT.replace(program, sys.executable).replace("User=stemserve", "User=root")
    unit = tmp_path / "stemserve.service"
    unit.write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", str(unit)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
