"""Machines as Ray sees them: network namespaces, joined by a bridge."""

import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_KILL_SECONDS = 30.0
# Of a machine's address, the last number; the host is 1.
_FIRST = 11


@dataclass(frozen=True)
class Machine:
    """A network namespace, and its address on the bridge."""

    namespace: str
    address: str

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> "subprocess.Popen[bytes]":
        """Start a command on it, in a session that Ctrl-C doesn't reach."""
        with log.open("ab") as output:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, *command],
                env=environment,
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def pids(self) -> list[int]:
        """Return the processes on it: only those that were started on it."""
        return [int(pid) for pid in _ip("netns", "pids", self.namespace).split()]

    def kill(self) -> None:
        """Kill all of its processes, as the loss of the machine would."""
        end = time.monotonic() + _KILL_SECONDS
        while (pids := self.pids()) and time.monotonic() < end:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)


@dataclass(frozen=True)
class Network:
    """The host's address on the bridge, and the machines by name."""

    host: str
    machines: Mapping[str, Machine]


@contextmanager
def network(names: Sequence[str]) -> Iterator[Network]:
    """Make the machines; in the end kill what runs on them, and remove them."""
    bridge, subnet = f"trial{os.getpid()}", _free_subnet()
    made = Network(
        f"{subnet}.1",
        {
            name: Machine(f"{bridge}-{name}", f"{subnet}.{_FIRST + number}")
            for number, name in enumerate(names)
        },
    )
    try:
        _ip("link", "add", bridge, "type", "bridge")
        _ip("address", "add", f"{made.host}/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        for number, machine in enumerate(made.machines.values()):
            _join(machine, bridge, f"{bridge}p{number}")
        yield made
    finally:
        for machine in made.machines.values():
            with suppress(subprocess.CalledProcessError):
                machine.kill()
                _ip("netns", "delete", machine.namespace)
        # The other ends of the cables went with the namespaces.
        with suppress(subprocess.CalledProcessError):
            _ip("link", "delete", bridge)


def _join(machine: Machine, bridge: str, port: str) -> None:
    """Make a namespace, and connect it with a cable to the bridge."""
    inside = ("-n", machine.namespace)
    _ip("netns", "add", machine.namespace)
    cable = ("type", "veth", "peer", "name", "eth0", "netns", machine.namespace)
    _ip("link", "add", port, *cable)
    _ip("link", "set", port, "master", bridge, "up")
    _ip(*inside, "address", "add", f"{machine.address}/24", "dev", "eth0")
    _ip(*inside, "link", "set", "lo", "up")
    _ip(*inside, "link", "set", "eth0", "up")


def _free_subnet() -> str:
    """Return the first three numbers of a private network that no interface has."""
    taken = set(re.findall(r"inet (\d+\.\d+\.\d+)\.", _ip("-4", "address")))
    free = {f"10.213.{number}" for number in range(256)} - taken
    return random.choice(sorted(free))


def _ip(*arguments: str) -> str:
    """Run iproute2; CalledProcessError if it fails."""
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise subprocess.CalledProcessError(
            done.returncode, done.args, done.stdout, done.stderr
        )
    return done.stdout
