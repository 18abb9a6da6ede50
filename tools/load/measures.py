"""What the clients measured: the response times and errors of each call."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from threading import Lock
from typing import Any, Self

# Of a kind of error in a call, the report shows so many examples.
_EXAMPLES = 5


@dataclass
class Call:
    """The responses to one kind of request: seconds, numbers, examples of errors."""

    seconds: list[float] = field(default_factory=list)
    refused: int = 0
    errors: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Measures:
    """A generator's whole run. `cpu_share` is of one core; times are in seconds."""

    generator: str
    seconds: float
    cpu_share: float
    calls: Mapping[str, Call]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON would have it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Self:
        """Return what `to_dict` made into a dictionary."""
        calls = {name: Call(**call) for name, call in given["calls"].items()}
        return cls(**{**given, "calls": calls})


class Recorder:
    """Collects calls from `begins_at` on; thread-safe.

    Times are of `time.monotonic`. `listener` is told of each call as well.
    """

    def __init__(
        self,
        begins_at: float,
        listener: Callable[[str, float, str | None], None] = lambda *_: None,
    ) -> None:
        self._lock = Lock()
        self._listener = listener
        self._begins_at = begins_at
        self._cpu_began: float | None = None
        self._calls: dict[str, Call] = {}

    def succeeded(self, name: str, seconds: float) -> None:
        """Record a response that was right."""
        with self._lock:
            call = self._call(name)
            if call is not None:
                call.seconds.append(seconds)
        self._listener(name, seconds, None)

    def refused(self, name: str, seconds: float) -> None:
        """Record a response 429."""
        with self._lock:
            call = self._call(name)
            if call is not None:
                call.refused += 1
        self._listener(name, seconds, None)

    def failed(self, name: str, seconds: float, reason: str) -> None:
        """Record anything else, also what is not a response."""
        with self._lock:
            call = self._call(name)
            if call is not None:
                call.errors += 1
                if len(call.examples) < _EXAMPLES and reason not in call.examples:
                    call.examples.append(reason)
        self._listener(name, seconds, reason)

    def measures(self, generator: str) -> Measures:
        """Return what was recorded."""
        with self._lock:
            seconds = max(time.monotonic() - self._begins_at, 1e-9)
            began = time.process_time() if self._cpu_began is None else self._cpu_began
            cpu_seconds = time.process_time() - began
            return Measures(generator, seconds, cpu_seconds / seconds, self._calls)

    def _call(self, name: str) -> Call | None:
        """Return a call's record; None before the time that counts."""
        if time.monotonic() < self._begins_at:
            return None
        if self._cpu_began is None:
            self._cpu_began = time.process_time()
        return self._calls.setdefault(name, Call())


def percentile(seconds: Sequence[float], share: float) -> float:
    """Return the time that `share` of all are not above; 0 if there are none.

    The nearest-rank percentile: one of the measured times.
    """
    if not seconds:
        return 0.0
    ordered = sorted(seconds)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]
