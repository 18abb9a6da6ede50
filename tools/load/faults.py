"""Kill processes of a server while it is loaded."""

import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from tools.load.footprint import LocalServer
from tools.load.profile import Faults


@contextmanager
def raging(server: LocalServer, faults: Faults) -> Iterator[Counter[str]]:
    """Kill a replica now and then until the context exits; yield how many of each."""
    strikes: Counter[str] = Counter()
    done = threading.Event()

    def rage() -> None:
        while not done.wait(random.uniform(0.5, 1.5) * faults.every_seconds):
            name = random.choice(faults.kill)
            found = [each for each in server.family() if _is_replica(each, name)]
            if found:
                with suppress(psutil.NoSuchProcess):
                    random.choice(found).kill()
                    strikes[name] += 1

    thread = threading.Thread(target=rage, daemon=True)
    if faults.kill:
        thread.start()
    try:
        yield strikes
    finally:
        done.set()
        if faults.kill:
            thread.join()


def _is_replica(process: psutil.Process, deployment: str) -> bool:
    """Whether a process is a replica, by the name that Ray gives it."""
    with suppress(psutil.NoSuchProcess):
        names = process.cmdline()
        return bool(names) and names[0].startswith(
            f"ray::ServeReplica:stemserve:{deployment}"
        )
    return False
