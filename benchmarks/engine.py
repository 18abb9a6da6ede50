"""Compare the engine with common loops over Hybrid Demucs: time, memory, exactness.

    python benchmarks/engine.py [--rounds 5] [--seconds 210] [--json FILE] [--plot FILE]

All contenders use the same random weights, which cost as much as the published ones of
the same size. Each runs in a process of its own, and they alternate round by round, so
that other load on the machine affects all equally. Times are medians; compare ratios of
one run, not times of several. `b` needs the extra `demucs`, --plot the extra `bench`.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Self, cast

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Run from anywhere, installed or not.

from benchmarks.contenders import BACKENDS, CONTENDERS  # noqa: E402
from serve_app.separation import allocator  # noqa: E402

ENERGY = Path("/sys/class/powercap/intel-rapl:0/energy_uj")
PAIR = "2 x"


@dataclass(frozen=True)
class Figures:
    """The measurements of one contender."""

    name: str
    says: str
    seconds: list[float]
    times_real_time: float
    peak_mebibytes: float
    joules: float | None
    stems_db: list[float] | None


class Worker:
    """A contender in a process of its own."""

    def __init__(self, name: str, options: argparse.Namespace, threads: int) -> None:
        self.name = name
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
        environment.pop(allocator.VARIABLE, None)
        if CONTENDERS[name].tuned_allocator:
            environment[allocator.VARIABLE] = allocator.TUNABLES
        command = [sys.executable, str(ROOT / "benchmarks" / "contenders.py"), name]
        command += ["--model", options.model, "--seconds", str(options.seconds)]
        command += ["--threads", str(threads)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, env=environment, stdin=pipe, stdout=pipe, text=True
        )
        # Never None: both are pipes.
        self._in = cast("IO[str]", self._process.stdin)
        self._out = cast("IO[str]", self._process.stdout)
        self.hear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def tell(self, word: str) -> None:
        """Send a command."""
        self._in.write(f"{word}\n")
        self._in.flush()

    def hear(self) -> Any:
        """Wait for a response."""
        line = self._out.readline()
        if not line:
            raise RuntimeError(f"{self.name} exited code={self._process.wait()}")
        return json.loads(line)

    def ask(self, word: str) -> Any:
        """Send a command and return its response."""
        self.tell(word)
        return self.hear()


def measure(options: argparse.Namespace) -> list[Figures]:
    """Run all contenders, alternating in each round."""
    teams = {name: [Worker(name, options, options.threads)] for name in options.names}
    for name in options.pairs:
        # Two replicas of one thread each, running at the same time.
        teams[f"{PAIR}{name}"] = [Worker(name, options, 1) for _ in range(2)]
    times: dict[str, list[float]] = {name: [] for name in teams}
    energies: dict[str, list[float]] = {name: [] for name in teams}
    for number in range(options.rounds):
        for name, team in teams.items():
            before = _microjoules()
            for worker in team:
                worker.tell("run")
            seconds = max(worker.hear() for worker in team) / len(team)
            times[name].append(seconds)
            if before is not None:
                energies[name].append((_microjoules() or 0) - before)
            print(f"round {number + 1} {name:8} {seconds:7.2f} s", file=sys.stderr)
    return [
        _figures(name, team, times[name], energies[name], options.seconds)
        for name, team in teams.items()
    ]


def _microjoules() -> int | None:
    return int(ENERGY.read_text()) if os.access(ENERGY, os.R_OK) else None


def _figures(
    name: str,
    team: list[Worker],
    seconds: list[float],
    microjoules: list[float],
    song_seconds: float,
) -> Figures:
    peak = sum(worker.ask("peak") for worker in team)
    kind = name.removeprefix(PAIR)
    stems_db = team[0].ask("db") if kind in BACKENDS else None
    for worker in team:
        worker.__exit__()
    return Figures(
        name,
        ("two one-thread replicas of " if len(team) > 1 else "")
        + CONTENDERS[kind].says,
        seconds,
        song_seconds / statistics.median(seconds),
        peak,
        statistics.median(microjoules) / 1e6 / len(team) if microjoules else None,
        stems_db,
    )


def table(found: list[Figures]) -> str:
    """Format the figures as Markdown, with ratios to the contenders a, a' and b."""
    medians = {one.name: statistics.median(one.seconds) for one in found}
    rivals = [name for name in ("a", "a'", "b", "seeds") if name in medians]
    head = ["", "what", "s", "x real time", *(f"times {n}" for n in rivals)]
    rows = [[*head, "peak MiB", "dB to fp32"], ["---"] * (len(head) + 2)]
    for one in found:
        ratios = [f"{medians[name] / medians[one.name]:.2f}" for name in rivals]
        db = f"{min(one.stems_db):.0f}" if one.stems_db else ""
        speed = [f"{medians[one.name]:.2f}", f"{one.times_real_time:.1f}", *ratios]
        rows.append([one.name, one.says, *speed, f"{one.peak_mebibytes:.0f}", db])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def machine() -> str:
    """Return a description of this machine."""
    name = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            name = line.split(":", 1)[1].strip()
            break
    return f"{name}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"


def plot(found: list[Figures], path: Path) -> None:
    """Plot the speeds as a bar chart."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 0.45 * len(found) + 1))
    bars = axes.barh([one.says for one in found], [f.times_real_time for f in found])
    axes.bar_label(bars, fmt="%.1f", padding=3)
    axes.margins(x=0.1)
    axes.invert_yaxis()
    axes.set_xlabel("times real time, more is faster")
    figure.tight_layout()
    figure.savefig(path)


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    top.add_argument("--model", default="hdemucs_high_musdb_plus")
    top.add_argument("--names", nargs="+", default=list(CONTENDERS), choices=CONTENDERS)
    top.add_argument("--pairs", nargs="*", default=["ov-bf16"], choices=BACKENDS)
    top.add_argument("--rounds", type=int, default=5)
    top.add_argument("--seconds", type=float, default=210.0, help="of the song")
    top.add_argument("--threads", type=int, default=os.cpu_count())
    top.add_argument("--json", type=Path, help="write every figure to this file")
    top.add_argument("--plot", type=Path, help="plot the speeds to this .png or .svg")
    return top


def main(arguments: Sequence[str]) -> None:
    """Measure, print the table, and write the requested files."""
    options = parser().parse_args(arguments)
    found = measure(options)
    print(f"{options.model}, {options.seconds:.0f} s, {machine()}\n\n{table(found)}")
    if options.json:
        report = {
            "model": options.model,
            "seconds": options.seconds,
            "threads": options.threads,
            "machine": machine(),
            "contenders": [asdict(one) for one in found],
        }
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    if options.plot:
        plot(found, options.plot)


if __name__ == "__main__":
    main(sys.argv[1:])
