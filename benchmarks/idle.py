"""Resources of an idle server: CPU, memory, processes, ports.

    python benchmarks/idle.py [--seconds 60] [--settle 30] [--json FILE]

`python -m deployments` starts on a free port of 127.0.0.1, as in `make serve`, with the
bundled model, and gets no requests. Memory is the proportional set size: pages that
processes share count once.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Run from anywhere, installed or not.

import httpx  # noqa: E402
import psutil  # noqa: E402

READY_SECONDS = 300.0
_MIB = 1024**2


@dataclass(frozen=True)
class Share:
    """One process: its CPU use in per cent of a core, and its memory in MiB."""

    name: str
    core_percent: float
    pss_mib: float


@dataclass(frozen=True)
class Idle:
    """All processes of an idle server, and the ports they listen on."""

    processes: Sequence[Share]
    open_ports: Sequence[str]

    @property
    def core_percent(self) -> float:
        """The CPU use of all processes, in per cent of one core."""
        return sum(one.core_percent for one in self.processes)

    @property
    def pss_mib(self) -> float:
        """The memory of all processes in MiB."""
        return sum(one.pss_mib for one in self.processes)


def free_port() -> int:
    """Return a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


_NO_SETTINGS: Mapping[str, str] = {}


@contextmanager
def server(
    directory: Path,
    port: int,
    settings: Mapping[str, str] = _NO_SETTINGS,
    options: Sequence[str] = (),
) -> Iterator[psutil.Process]:
    """Run a server until the context exits; it is ready on entry.

    `settings` are environment variables, `options` more options of its command line.
    """
    environment = {
        **os.environ,
        "STEMSERVE_DATA_DIR": str(directory / "data"),
        "STEMSERVE_MODEL": "demo",
        **settings,
    }
    command = [sys.executable, "-m", "deployments", "--host", "127.0.0.1"]
    with (directory / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--port", str(port), *options],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_ready(f"http://127.0.0.1:{port}/readyz")
        yield psutil.Process(process.pid)
    finally:
        # Not SIGINT: children of a background shell ignore it.
        process.terminate()
        process.wait(120)


def wait_ready(url: str) -> None:
    """Wait until the server is ready."""
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        try:
            if httpx.get(url, timeout=5).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise TimeoutError(f"{url} is not ready after {READY_SECONDS:.0f} s")


def measured(root: psutil.Process, seconds: float) -> Idle:
    """Measure a process and its descendants for `seconds`."""
    family = [root, *root.children(recursive=True)]
    before = [cpu_seconds(one) for one in family]
    time.sleep(seconds)
    shares = [
        Share(
            name(one),
            (cpu_seconds(one) - start) / seconds * 100,
            one.memory_full_info().pss / _MIB,
        )
        for one, start in zip(family, before, strict=True)
    ]
    return Idle(shares, sorted({port for one in family for port in ports(one)}))


def cpu_seconds(process: psutil.Process) -> float:
    """Return a process's CPU time."""
    times = process.cpu_times()
    return float(times.user + times.system)


def name(process: psutil.Process) -> str:
    """Return a short name for a process."""
    command = " ".join(process.cmdline()).strip()
    if command.startswith("ray::"):
        return command.split()[0]
    if "-m deployments" in command:
        return "stemserve serve"
    return str(process.name())


def ports(process: psutil.Process) -> Iterator[str]:
    """Yield the addresses that a process listens on."""
    for connection in process.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN:
            yield f"{connection.laddr.ip}:{connection.laddr.port}"


def main() -> None:
    """Start a server, let it settle, measure it and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--settle", type=float, default=30.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as directory,
        server(Path(directory), free_port()) as root,
    ):
        time.sleep(options.settle)
        idle = measured(root, options.seconds)
    for one in sorted(idle.processes, key=lambda one: -one.pss_mib):
        print(f"{one.pss_mib:8.0f} MiB {one.core_percent:6.2f} %  {one.name}")
    print(
        f"{idle.pss_mib:8.0f} MiB {idle.core_percent:6.2f} % of one core, "
        f"{len(idle.processes)} processes, {len(idle.open_ports)} open ports"
    )
    # IPv4 addresses on IPv6 sockets have a prefix.
    addresses = [port.removeprefix("::ffff:") for port in idle.open_ports]
    outside = [address for address in addresses if not address.startswith("127.")]
    print(f"{len(outside)} ports beyond 127.0.0.1: {' '.join(outside)}")
    if options.json:
        options.json.write_text(json.dumps(asdict(idle), indent=2))


if __name__ == "__main__":
    main()
