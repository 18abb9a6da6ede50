import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from serve_app.separation import allocator

# In a worker thread, as an engine's forward runs: large blocks come and go.
CHURN = """
import resource, sys, threading
from serve_app.separation import allocator

if sys.argv[1] == "tuned":
    assert allocator.tune()

def churn():
    for _ in range(20):
        # Three at a time are more than one heap of an arena of the thread's own holds.
        [b"x" * 30_000_000 for _ in range(3)]

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

thread = threading.Thread(target=churn)
thread.start()
thread.join()
print(faults())
"""


def page_faults(how: str) -> int:
    ran = subprocess.run(
        [sys.executable, "-c", CHURN, how],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        env={k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"},
    )
    return int(ran.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="tunes glibc only")
def test_memory_that_is_freed_is_used_again_without_page_faults() -> None:
    assert page_faults("tuned") < page_faults("plain") / 4


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert allocator.tune() is False
