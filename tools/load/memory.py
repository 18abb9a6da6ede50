"""The memory of a server while it is loaded."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import linear_regression

import psutil

_PERIOD_SECONDS = 5.0
_MB = 1e6


@dataclass(frozen=True)
class Sample:
    """The memory of all processes at a time, in seconds since the load began."""

    at_seconds: float
    megabytes: float


@contextmanager
def sampled(root: psutil.Process) -> Iterator[Sequence[Sample]]:
    """Sample a process and its descendants until the context exits.

    The memory is their proportional set size: pages that they share count once.
    """
    samples: list[Sample] = []
    done, began = threading.Event(), time.monotonic()

    def look() -> None:
        while not done.wait(_PERIOD_SECONDS):
            family = [root, *root.children(recursive=True)]
            megabytes = sum(map(_pss_bytes, family)) / _MB
            samples.append(Sample(time.monotonic() - began, megabytes))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        done.set()
        thread.join()


def growth_per_minute(samples: Sequence[Sample], since_seconds: float) -> float | None:
    """Return the slope of the line through the samples, in MB a minute.

    None with fewer than two samples since then.
    """
    later = [each for each in samples if each.at_seconds >= since_seconds]
    if len(later) < 2:
        return None
    times = [each.at_seconds / 60 for each in later]
    return linear_regression(times, [each.megabytes for each in later]).slope


def _pss_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.NoSuchProcess:
        return 0
