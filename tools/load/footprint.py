"""What a server takes while it is loaded: memory, descriptors, disk and rows."""

import os
import re
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from scipy.stats import theilslopes

_PERIOD_SECONDS = 5.0
_MB = 1e6
_PSS = re.compile(r"^(Pss\w*): +(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True)
class LocalServer:
    """A server on this machine: its first process, and its data directory."""

    process: psutil.Process
    data_dir: Path

    def family(self) -> list[psutil.Process]:
        """Return all of its processes."""
        return [self.process, *self.process.children(recursive=True)]


# The unit of each measured thing.
UNITS = {"memory": "MB", "own": "MB", "descriptors": "", "disk": "MB", "rows": ""}


@dataclass
class Footprint:
    """Samples over time: seconds since the load began, and each thing in its unit.

    The memory is the proportional set size of all processes: pages that they share
    count once. Pages of files count less while other programs map them, so run none
    from the same environment; `own` is the memory without them. The rows are those of
    all tables.
    """

    at_seconds: list[float] = field(default_factory=list)
    values: dict[str, list[float]] = field(
        default_factory=lambda: {name: [] for name in UNITS}
    )
    # How many of the samples were taken before the load ended.
    loaded: int | None = None
    # Why samples are missing.
    failures: list[str] = field(default_factory=list)

    def end_load(self) -> None:
        """Note that the load has ended: the server rests from now on."""
        self.loaded = len(self.at_seconds)

    def look(self, server: LocalServer, at_seconds: float) -> None:
        """Add a sample."""
        family = server.family()
        memory = [_memory_bytes(process) for process in family]
        found = {
            "memory": sum(total for total, _ in memory) / _MB,
            "own": sum(own for _, own in memory) / _MB,
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
        process that was killed is missing for a while, which is no growth.
        """
        pairs = zip(self.at_seconds, self.values[name][: self.loaded], strict=False)
        later = [(at / 60, value) for at, value in pairs if at >= since_seconds]
        if len(later) < 2:
            return None
        times, values = zip(*later, strict=True)
        return float(theilslopes(values, times).slope)

    def left(self, name: str) -> float | None:
        """Return how much more there is in the end than in the beginning, or None."""
        values = self.values[name]
        return values[-1] - values[0] if values else None


@contextmanager
def watched(server: LocalServer) -> Iterator[Footprint]:
    """Sample a server until the context exits."""
    footprint, done, began = Footprint(), threading.Event(), time.monotonic()

    def watch() -> None:
        while not done.wait(_PERIOD_SECONDS):
            try:
                footprint.look(server, time.monotonic() - began)
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


def _memory_bytes(process: psutil.Process) -> tuple[int, int]:
    """Return the proportional set size, and that without pages of files.

    See `smaps_rollup` in proc(5).
    """
    try:
        text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0
    found = {name: int(kib) * 1024 for name, kib in _PSS.findall(text)}
    total = found.get("Pss", 0)
    return total, total - found.get("Pss_File", 0)


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
