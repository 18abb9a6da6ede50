"""How full the batches of a process were in the last minutes."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock

from serve_app.telemetry.recent import SPEED_SECONDS


@dataclass(frozen=True)
class BatchFillFacts:
    """How many batches there were, and the sum of their fill ratios, from 0 to 1."""

    batches: int = 0
    ratios: float = 0.0


class BatchFill:
    """Keeps the batches of the last `SPEED_SECONDS`; thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._batches: deque[tuple[float, float]] = deque()

    def add(self, ratio: float) -> None:
        """Add a batch with so many of the windows that fit."""
        with self._lock:
            self._batches.append((self._clock(), ratio))
            self._forget()

    def facts(self) -> BatchFillFacts:
        """Return the facts of now."""
        with self._lock:
            self._forget()
            ratios = [ratio for _, ratio in self._batches]
        return BatchFillFacts(len(ratios), sum(ratios))

    def _forget(self) -> None:
        since = self._clock() - SPEED_SECONDS
        while self._batches and self._batches[0][0] < since:
            self._batches.popleft()


def mean(found: Sequence[BatchFillFacts]) -> float | None:
    """Return the mean fill ratio of the batches of all processes; None without any."""
    batches = sum(each.batches for each in found)
    return sum(each.ratios for each in found) / batches if batches else None
