import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from serve_app.separation import allocator
from serve_app.stems.engines import MOST_PAGE_FAULTS

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="tunes glibc only"
)

PROGRAM = """
import sys
from serve_app.separation import allocator

if sys.argv[1] == "tuned":
    allocator.restart_tuned()
print(allocator.page_faults())
"""


def page_faults(how: str, folder: Path) -> int:
    program = folder / "program.py"
    program.write_text(PROGRAM)
    environment = {k: v for k, v in os.environ.items() if k != allocator.VARIABLE}
    ran = subprocess.run(
        [sys.executable, str(program), how],
        check=True,
        capture_output=True,
        text=True,
        env={**environment, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    return int(ran.stdout)


def test_a_tuned_process_uses_freed_memory_again(tmp_path: Path) -> None:
    assert page_faults("tuned", tmp_path) < MOST_PAGE_FAULTS


def test_a_plain_process_is_told_from_a_tuned_one(tmp_path: Path) -> None:
    assert page_faults("plain", tmp_path) > 3 * MOST_PAGE_FAULTS


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.delenv(allocator.VARIABLE, raising=False)
    allocator.restart_tuned()
