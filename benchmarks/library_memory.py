"""The memory of the library's worker with long files.

    python benchmarks/library_memory.py [--hours 2] [--stems 8] [--check]

One wav of hours is analysed, and several of an hour are mixed. The peak is that above
the idle worker, which has analysed and mixed a short file. `--check` fails over 100 MB.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Run from anywhere, installed or not.

import numpy as np  # noqa: E402
import soundfile  # noqa: E402

from benchmarks.library import peak_mib, reset_peak  # noqa: E402
from serve_app.jobs.job import State  # noqa: E402
from serve_app.library.task import LibraryJob, Task, TaskName  # noqa: E402
from serve_app.library.work import Limits, Worker  # noqa: E402
from serve_app.settings.library import MEDIA_TYPES  # noqa: E402
from serve_app.storage.objects import DirectoryObjects  # noqa: E402

_RATE = 44_100
_MOST_MIB = 100e6 / 2**20


def write(path: Path, hours: float) -> None:
    """Write a wav of 16 bits and two channels."""
    minute = np.random.default_rng(1).normal(0, 0.1, (60 * _RATE, 2))
    with soundfile.SoundFile(path, "w", _RATE, 2, "PCM_16", format="RF64") as file:
        for _ in range(round(60 * hours)):
            file.write(minute)


def run(worker: Worker, name: TaskName, **kwargs: Any) -> None:
    """Do a task."""
    now = datetime.now(UTC)
    job = LibraryJob("j", Task(name, kwargs), State.RUNNING, now, now)
    worker.run(job, lambda *_: None, threading.Event())


def measured(worker: Worker, name: TaskName, **kwargs: Any) -> float:
    """Do a task; print and return how much memory it took above the idle worker."""
    reset_peak()
    idle_mib, began = peak_mib(), time.monotonic()
    run(worker, name, **kwargs)
    taken = peak_mib() - idle_mib
    print(f"{name}: {taken:.1f} MiB, {time.monotonic() - began:.0f} s", flush=True)
    return taken


def main(arguments: Sequence[str]) -> int:
    """Measure an analysis and a mix."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    top.add_argument("--hours", type=float, default=2.0)
    top.add_argument("--stems", type=int, default=8)
    top.add_argument("--stem-hours", type=float, default=1.0)
    top.add_argument("--check", action="store_true", help="fail over 100 MB")
    options = top.parse_args(arguments)
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        limits = Limits(2**40, frozenset(MEDIA_TYPES), 4000, 1, False)
        worker = Worker(DirectoryObjects(root / "bucket"), root / "work", limits)
        long, stem, short = (root / "bucket" / name for name in ("l", "s", "w"))
        for path, hours in ((long, options.hours), (stem, options.stem_hours)):
            write(path, hours)
        write(short, 1 / 60)
        run(worker, TaskName.ANALYSIS, stemId="w", filepath="w")
        run(worker, TaskName.MIX, stageId="w", stem_paths=["w", "w"])
        most = max(
            measured(worker, TaskName.ANALYSIS, stemId="l", filepath="l"),
            measured(
                worker, TaskName.MIX, stageId="s", stem_paths=["s"] * options.stems
            ),
        )
    return 1 if options.check and most > _MOST_MIB else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
