"""A chaos monkey that breaks parts of the service and measures their recovery."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

import psutil
from ray import serve

from tests.serve.service import processes

# Not shorter: a probe lists all processes, which slows the recovery down.
_PROBE_SECONDS = 1.0
_TIMEOUT_SECONDS = 120.0

Check = Callable[[], bool]


@dataclass(frozen=True)
class Attack:
    """A way to break something; `strike` returns a check for its recovery."""

    name: str
    strike: Callable[[Random], Check]


@dataclass
class Log:
    """The attacks, and the seconds that each recovery took."""

    strikes: list[str] = field(default_factory=list)
    recoveries: dict[str, list[float]] = field(default_factory=dict)
    never: list[str] = field(default_factory=list)


class Monkey:
    """Runs random attacks every few seconds, from `let_loose` until `stop`.

    The same seed gives the same attacks in the same order.
    """

    def __init__(
        self, attacks: Sequence[Attack], seed: int, gap_seconds: tuple[float, float]
    ) -> None:
        self.log = Log()
        self._attacks = attacks
        self._random = Random(seed)
        self._gap_seconds = gap_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._rage, name="monkey")
        self._watches: list[threading.Thread] = []

    def let_loose(self) -> None:
        """Start the attacks."""
        self._thread.start()

    def stop(self) -> Log:
        """Stop the attacks; return the log after all recoveries end or time out."""
        self._stopping.set()
        for thread in (self._thread, *self._watches):
            thread.join()
        return self.log

    def _rage(self) -> None:
        while not self._stopping.wait(self._random.uniform(*self._gap_seconds)):
            attack = self._random.choice(self._attacks)
            try:
                recovered = attack.strike(self._random)
            except (LookupError, psutil.NoSuchProcess):
                continue  # No such process exists at the moment.
            self.log.strikes.append(attack.name)
            watch = threading.Thread(target=self._watch, args=(attack.name, recovered))
            self._watches.append(watch)
            watch.start()

    def _watch(self, name: str, recovered: Check) -> None:
        """Wait for a recovery; its timeout starts after the last attack."""
        began, calm_since = time.monotonic(), None
        while calm_since is None or time.monotonic() - calm_since < _TIMEOUT_SECONDS:
            if calm_since is None and self._stopping.is_set():
                calm_since = time.monotonic()
            time.sleep(_PROBE_SECONDS)
            with suppress(Exception):  # The check may use the broken part.
                if recovered():
                    took = time.monotonic() - began
                    self.log.recoveries.setdefault(name, []).append(took)
                    return
        self.log.never.append(name)


def replica(deployment: str, number: int) -> Attack:
    """Kill a running replica; recovered when `number` of them run again."""

    def strike(random: Random) -> Check:
        random.choice(at_work(deployment)).kill()
        return lambda: len(at_work(deployment)) == number

    return Attack(f"kill {deployment}", strike)


def at_work(deployment: str) -> list[psutil.Process]:
    """Return the running replicas of a deployment, by Ray's process names."""
    return processes(f"ray::ServeReplica:stemserve:{deployment}")


def controller() -> Attack:
    """Kill the controller of Serve; recovered when a new one responds."""

    def strike(random: Random) -> Check:
        found = random.choice(processes("ray::ServeController"))
        found.kill()
        return lambda: "stemserve" in serve.status().applications

    return Attack("kill ServeController", strike)


def pause(deployments: Sequence[str], seconds: float, works: Check) -> Attack:
    """Suspend a replica of one of `deployments` for `seconds`, then resume it."""

    def strike(random: Random) -> Check:
        found = random.choice(at_work(random.choice(deployments)))
        found.suspend()
        resumed = threading.Event()

        def resume() -> None:
            with suppress(psutil.NoSuchProcess):
                found.resume()
            resumed.set()

        threading.Timer(seconds, resume).start()
        return lambda: resumed.is_set() and works()

    return Attack(f"pause a replica for {seconds:g} s", strike)


def command(name: str, act: Callable[[Random], None], works: Check) -> Attack:
    """Run any other attack; recovered when `works` returns True."""

    def strike(random: Random) -> Check:
        act(random)
        return works

    return Attack(name, strike)
