"""CPU and memory of analyses by the library, against the original's steps.

    python benchmarks/library.py [--files 200] [--minutes 3] [--check]

Wavs of 16 bits and two channels lie in a directory. Two processes analyse all of them,
one after the other: the library's worker, and `benchmarks/library_original.py`. Memory
is the peak above that of the idle process. `--check` fails unless the library takes at
most a third of the CPU time and a tenth of the memory, and both find the same peaks.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Run from anywhere, installed or not.

import numpy as np  # noqa: E402
import soundfile  # noqa: E402

_RATE = 44_100
_PEAKS = 4000
_LEAST_CPU_RATIO, _LEAST_MEMORY_RATIO = 3.0, 10.0
_WARM_UP = "warm-up.wav"

Analyze = Callable[[str], Path]


@dataclass(frozen=True)
class Cost:
    """CPU seconds of the work, its memory above the idle process, and some peaks."""

    cpu_seconds: float
    memory_mib: float
    peaks: Sequence[float]


def write_songs(folder: Path, files: int, minutes: float) -> None:
    """Write different songs, and a short one to warm up with."""
    samples = int(60 * minutes * _RATE)
    rng = np.random.default_rng(1)
    sound = rng.normal(0, 0.1, (samples, 2)).astype(np.float32)
    sound *= np.linspace(0.1, 1, samples, dtype=np.float32)[:, None]
    soundfile.write(folder / _WARM_UP, sound[:_RATE], _RATE, "PCM_16")
    for number in range(files):
        path = folder / f"{number}.wav"
        soundfile.write(path, np.roll(sound, number * 997, axis=0), _RATE, "PCM_16")


def ours(root: Path, out: Path) -> Analyze:
    """Return what the library's worker does with a file."""
    from serve_app.jobs.job import State
    from serve_app.library.task import LibraryJob, Task, TaskName
    from serve_app.library.work import Limits, Worker
    from serve_app.settings.library import MEDIA_TYPES
    from serve_app.storage.objects import DirectoryObjects

    limits = Limits(2**31, frozenset(MEDIA_TYPES), _PEAKS, 1, False)
    worker = Worker(DirectoryObjects(root), out / "work", limits)

    def analyze(name: str) -> Path:
        now = datetime.now(UTC)
        kwargs = {"stemId": Path(name).stem, "filepath": name, "num_peaks": _PEAKS}
        task = Task(TaskName.ANALYSIS, kwargs)
        job = LibraryJob("j", task, State.RUNNING, now, now)
        done = worker.run(job, lambda *_: None, threading.Event())
        return root / str(done.fields["waveform_data_path"])

    return analyze


def original(root: Path, out: Path) -> Analyze:
    """Return what the original's steps do with a file."""
    from benchmarks import library_original

    return lambda name: library_original.analyze(root / name, out)


_SIDES = {"ours": ours, "original": original}


def run(side: str, root: Path, files: int) -> None:
    """Analyse all files in this process; print what it took."""
    with tempfile.TemporaryDirectory() as out:
        analyze = _SIDES[side](root, Path(out))
        analyze(_WARM_UP)
        reset_peak()
        idle_mib, began = peak_mib(), _cpu_seconds()
        for number in range(files):
            stored = analyze(f"{number}.wav")
        cost = Cost(
            _cpu_seconds() - began,
            peak_mib() - idle_mib,
            json.loads(stored.read_text())["peaks"],
        )
        print(json.dumps(asdict(cost)))


def reset_peak() -> None:
    """Reset the peak (proc(5)); that of getrusage begins with the parent's."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_mib() -> float:
    """Return the largest resident set of this process since the last reset."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("the system does not tell the peak memory")


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measured(side: str, root: Path, files: int) -> Cost:
    """Run one side in a process of its own."""
    command = [sys.executable, __file__, "--side", side, "--root", str(root)]
    done = subprocess.run(
        [*command, "--files", str(files)], stdout=subprocess.PIPE, text=True, check=True
    )
    return Cost(**json.loads(done.stdout))


def main(arguments: Sequence[str]) -> int:
    """Compare both sides."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    top.add_argument("--files", type=int, default=200)
    top.add_argument("--minutes", type=float, default=3.0)
    top.add_argument("--check", action="store_true", help="fail if it takes too much")
    top.add_argument("--side", choices=_SIDES, help=argparse.SUPPRESS)
    top.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    options = top.parse_args(arguments)
    if options.side:
        run(options.side, options.root, options.files)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        write_songs(Path(folder), options.files, options.minutes)
        found = {side: measured(side, Path(folder), options.files) for side in _SIDES}
    for side, cost in found.items():
        print(f"{side}: {cost.cpu_seconds:.1f} CPU s, {cost.memory_mib:.1f} MiB")
    one, other = found["ours"], found["original"]
    cpu, memory = (
        other.cpu_seconds / one.cpu_seconds,
        other.memory_mib / max(one.memory_mib, 1.0),
    )
    print(f"the original takes {cpu:.2f} times the CPU, {memory:.1f} times the memory")
    is_same = np.allclose(one.peaks, other.peaks, atol=1.01e-4)
    print("both find the same peaks" if is_same else "THE PEAKS DIFFER")
    is_less = cpu >= _LEAST_CPU_RATIO and memory >= _LEAST_MEMORY_RATIO
    return 1 if options.check and not (is_less and is_same) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
