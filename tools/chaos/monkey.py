"""A monkey that breaks one thing after another, and a watch on what recovers."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

import psutil
from ray import serve

from tests.serve.service import processes

# Looking at all processes costs some of what the service needs to recover.
_PROBE_SECONDS = 1.0
_PATIENCE_SECONDS = 120.0

Check = Callable[[], bool]


@dataclass(frozen=True)
class Attack:
    """A way to break something. `strike` returns what tells that it works again."""

    name: str
    strike: Callable[[Random], Check]


@dataclass
class Log:
    """What was broken, and how many seconds each took to recover."""

    strikes: list[str] = field(default_factory=list)
    recoveries: dict[str, list[float]] = field(default_factory=dict)
    never: list[str] = field(default_factory=list)


class Monkey:
    """Strikes at random, every few seconds, from when it is let loose until it stops.

    The same seed chooses the same attacks in the same order.
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
        """Begin."""
        self._thread.start()

    def stop(self) -> Log:
        """Stop striking; return the log once all has recovered or been given up."""
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
                continue  # There is nothing left of that kind just now.
            self.log.strikes.append(attack.name)
            watch = threading.Thread(target=self._watch, args=(attack.name, recovered))
            self._watches.append(watch)
            watch.start()

    def _watch(self, name: str, recovered: Check) -> None:
        """Wait until something works, which the next strikes may well put off."""
        began, calm_since = time.monotonic(), None
        while calm_since is None or time.monotonic() - calm_since < _PATIENCE_SECONDS:
            if calm_since is None and self._stopping.is_set():
                calm_since = time.monotonic()
            time.sleep(_PROBE_SECONDS)
            with suppress(Exception):  # Whatever it asks may be what was broken.
                if recovered():
                    took = time.monotonic() - began
                    self.log.recoveries.setdefault(name, []).append(took)
                    return
        self.log.never.append(name)


def replica(deployment: str, number: int) -> Attack:
    """Kill a replica that is at work; recovered when `number` of them are again."""

    def strike(random: Random) -> Check:
        random.choice(at_work(deployment)).kill()
        return lambda: len(at_work(deployment)) == number

    return Attack(f"kill {deployment}", strike)


def at_work(deployment: str) -> list[psutil.Process]:
    """Return the replicas of a deployment that have started, by how Ray names them."""
    return processes(f"ray::ServeReplica:stemserve:{deployment}")


def controller() -> Attack:
    """Kill the controller of Serve; recovered when another one answers."""

    def strike(random: Random) -> Check:
        found = random.choice(processes("ray::ServeController"))
        found.kill()
        return lambda: "stemserve" in serve.status().applications

    return Attack("kill ServeController", strike)


def pause(deployments: Sequence[str], seconds: float, works: Check) -> Attack:
    """Stop a replica of one of `deployments` for so long, then let it go on."""

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
    """Do anything else; recovered when `works` says so."""

    def strike(random: Random) -> Check:
        act(random)
        return works

    return Attack(name, strike)
