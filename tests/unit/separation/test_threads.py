import os
import subprocess
import sys
from pathlib import Path

import pytest

from serve_app.separation.threads import run_in_new_thread

# Loads the demo like a server, computes, and counts the threads created.
PROGRAM = """
import os
import sys
from pathlib import Path

import torch
from serve_app.separation import models
from serve_app.separation.backends.port import BackendOptions
from serve_app.separation.engine import Engine
from serve_app.separation.weights import WeightsCache

def count():
    return len(os.listdir("/proc/self/task"))

spec = models.find("demo")
path = WeightsCache(Path(".")).path(spec)
before = count()
options = BackendOptions("cpu", "torch", "fp32", threads=int(sys.argv[1]))
with Engine.load(spec, path, options) as engine:
    engine.warm_up()
    print(count() - before)
"""


def test_the_result_and_the_error_come_through() -> None:
    assert run_in_new_thread(lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        run_in_new_thread(lambda: 1 // 0)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts in /proc")
def test_only_the_thread_that_computes_keeps_helpers(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    threads = 4
    ran = subprocess.run(
        [sys.executable, str(program), str(threads)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    # The thread itself, its OpenMP threads, and a pool that torch always creates.
    assert int(ran.stdout) <= 1 + 2 * (threads - 1)
