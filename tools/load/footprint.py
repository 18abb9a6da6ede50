"""What a server takes while it is loaded: memory, descriptors, disk and rows."""

import os
import re
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from scipy.ndimage import minimum_filter1d
from scipy.stats import theilslopes

from benchmarks import idle

_PERIOD_SECONDS = 5.0
# Short enough to find a process between two songs.
_PEEK_SECONDS = 0.2
# Replicas give freed memory back every 15 seconds (`deployments/memory.py`), but may be
# in the middle of a song then.
_KEPT_PERIODS = 6
_MB = 1e6
_PSS = re.compile(r"^Pss: +(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True)
class LocalServer:
    """A server on this machine: its first process, and its data directory."""

    process: psutil.Process
    data_dir: Path

    def family(self) -> list[psutil.Process]:
        """Return all of its processes."""
        return [self.process, *self.process.children(recursive=True)]


# The unit of each measured thing.
UNITS = {"memory": "MB", "kept": "MB", "descriptors": "", "disk": "MB", "rows": ""}


@dataclass
class Footprint:
    """Samples over time: seconds since the load began, and each thing in its unit.

    The memory is the proportional set size of all processes: pages that they share
    count once. It goes up and down with the songs that are worked on. `kept` does not:
    it is the least memory that each process had to itself since the last sample. The
    rows are those of all tables.
    """

    at_seconds: list[float] = field(default_factory=list)
    values: dict[str, list[float]] = field(
        default_factory=lambda: {name: [] for name in UNITS}
    )
    # By process, and by the number of the sample.
    kept: dict[int, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    names: dict[int, str] = field(default_factory=dict)
    # How many of the samples were taken before the load ended.
    loaded: int | None = None
    # Why samples are missing.
    failures: list[str] = field(default_factory=list)

    def end_load(self) -> None:
        """Note that the load has ended: the server rests from now on."""
        self.loaded = len(self.at_seconds)

    def peek(self, family: Sequence[psutil.Process]) -> None:
        """See what each process has to itself now; costs next to nothing."""
        sample = len(self.at_seconds)
        for process in family:
            # One that has ended has none.
            if own := _own_bytes(process) / _MB:
                least = self.kept[process.pid].get(sample, own)
                self.kept[process.pid][sample] = min(least, own)

    def look(self, server: LocalServer, at_seconds: float) -> None:
        """Add a sample."""
        family = server.family()
        self.peek(family)
        self.names.update((process.pid, _name(process)) for process in family)
        sample = len(self.at_seconds)
        found = {
            "memory": sum(map(_memory_bytes, family)) / _MB,
            "kept": sum(each.get(sample, 0.0) for each in self.kept.values()),
            "descriptors": sum(map(_descriptors, family)),
            "disk": _disk_bytes(server.data_dir) / _MB,
            "rows": _rows(server.data_dir / "jobs.sqlite3"),
        }
        self.at_seconds.append(at_seconds)
        for name, value in found.items():
            self.values[name].append(value)

    def growth_per_minute(self, name: str, since_seconds: float) -> float | None:
        """Return the slope of the load's samples since a time; None for fewer than two.

        It is the median of the slopes between all pairs (Theil 1950, Sen 1968): a
        process that was killed is missing for a while, which is no growth. That of
        `kept` is the sum over the processes that were there all the time, so that one
        whose memory goes up and down does not hide the others.
        """
        if name == "kept":
            growths = self.kept_growths(since_seconds)
            return sum(each for _, each in growths) if growths else None
        later, minutes = self._since(since_seconds)
        values = self.values[name]
        if len(later) < 2:
            return None
        return _slope([values[index] for index in later], minutes)

    def kept_growths(self, since_seconds: float) -> list[tuple[str, float]]:
        """Return the growth of each process that was there all the time, most first."""
        later, minutes = self._since(since_seconds)
        if len(later) < 2:
            return []
        all_the_time = set(later)
        kept = {
            pid: [each[index] for index in later]
            for pid, each in self.kept.items()
            if each.keys() >= all_the_time
        }
        growths = [
            (self.names.get(pid, str(pid)), _slope(_never_undercut(each), minutes))
            for pid, each in kept.items()
        ]
        return sorted(growths, key=lambda growth: -growth[1])

    def _since(self, seconds: float) -> tuple[Sequence[int], Sequence[float]]:
        """Return the numbers of the load's samples since a time, and their minutes."""
        pairs = enumerate(self.at_seconds[: self.loaded])
        later = [index for index, at in pairs if at >= seconds]
        return later, [self.at_seconds[index] / 60 for index in later]

    def left(self, name: str) -> float | None:
        """Return how much more there is in the end than in the beginning, or None."""
        values = self.values[name]
        return values[-1] - values[0] if values else None


@contextmanager
def watched(server: LocalServer) -> Iterator[Footprint]:
    """Sample a server until the context exits."""
    footprint, done, began = Footprint(), threading.Event(), time.monotonic()

    def look() -> None:
        ends_at, family = time.monotonic() + _PERIOD_SECONDS, server.family()
        while time.monotonic() < ends_at and not done.wait(_PEEK_SECONDS):
            footprint.peek(family)
        if not done.is_set():
            footprint.look(server, time.monotonic() - began)

    def watch() -> None:
        while not done.is_set():
            try:
                look()
            except Exception as error:
                # The load goes on; its report says that this is missing.
                footprint.failures.append(f"{type(error).__name__}: {error}")

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield footprint
    finally:
        done.set()
        thread.join()


def _slope(values: Sequence[float], minutes: Sequence[float]) -> float:
    return float(theilslopes(values, minutes).slope)


def _never_undercut(values: Sequence[float]) -> Sequence[float]:
    """Return the least of each value and of those around it."""
    return list(minimum_filter1d(np.asarray(values, float), _KEPT_PERIODS))


def _memory_bytes(process: psutil.Process) -> int:
    """Return the proportional set size. See `smaps_rollup` in proc(5)."""
    try:
        text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(kib) * 1024 for kib in _PSS.findall(text))


def _own_bytes(process: psutil.Process) -> int:
    """Return the resident memory that is neither shared nor a file's."""
    try:
        found = process.memory_info()
    except psutil.NoSuchProcess:
        return 0
    return int(found.rss - found.shared)


def _name(process: psutil.Process) -> str:
    """Return what a process is called, without what an actor does at the moment."""
    try:
        return idle.name(process).split(".")[0]
    except psutil.NoSuchProcess:
        return str(process.pid)


def _descriptors(process: psutil.Process) -> int:
    try:
        return int(process.num_fds())
    except psutil.NoSuchProcess:
        return 0


def _disk_bytes(folder: Path) -> int:
    """Return the bytes of all files; those that are deleted meanwhile don't count."""
    total = 0
    # Unlike `Path.rglob`, it goes on if a folder is deleted meanwhile.
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += os.lstat(os.path.join(parent, name)).st_size
    return total


def _rows(database: Path) -> int:
    """Return the number of rows of all tables."""
    address = f"file:{database}?mode=ro"
    with closing(sqlite3.connect(address, uri=True, timeout=10)) as connection:
        names = connection.execute("SELECT name FROM sqlite_schema WHERE type='table'")
        return sum(
            # Names of our own tables.
            connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]  # noqa: S608
            for (name,) in names.fetchall()
        )
