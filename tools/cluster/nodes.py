"""Clusters of Ray nodes: a head and workers, started as KubeRay starts them."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tools.cluster.network import Machine

GCS_PORT, DASHBOARD_PORT, HTTP_PORT = 6379, 8265, 8000
_AGENT_PORT, _METRICS_PORT = 52365, 8080
_OBJECT_STORE_BYTES = 100_000_000
_START_SECONDS = 180.0
_POLL_SECONDS = 0.5
# How long a stopped node may hand back its jobs before it is killed: in
# configs/kuberay the terminationGracePeriodSeconds of a pod, which is longer.
_GRACE_SECONDS = 30.0

# What KubeRay adds to the environment of worker pods when Redis holds the state of the
# head: without it workers stop a minute after the head has.
_OF_WORKERS = {"RAY_gcs_rpc_server_reconnect_timeout_s": "600"}
# Six nodes on two cores are slower than Ray expects of one.
_ON_ONE_MACHINE = {
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "120",
    "RAY_agent_register_timeout_ms": "180000",
    "RAY_worker_register_timeout_seconds": "300",
}
# A raylet dies if its agents have not started after 15 s, whatever the settings. So
# Ray's own processes go before replicas and clients, which have the usual priority.
_NICENESS = -20
_RELATIVE_NICENESS = {"RAY_worker_niceness": str(-_NICENESS)}
# Linux shares the CPU between sessions first, and only then by niceness.
_OF_SESSION = f'echo {_NICENESS} 2>/dev/null > /proc/self/autogroup; exec "$@"'
# The kubelet starts a container again too.
_MAX_ATTEMPTS = 3


class NodeDidNotStart(Exception):
    """A node was not healthy in time, or has ended."""


@dataclass(frozen=True)
class Redis:
    """Where the head keeps its state."""

    address: str
    password: str


@dataclass
class Cluster:
    """A head without CPUs, and workers. `tree` is the source tree that they run.

    `environment` is that of all pods. Nodes keep their files below `folder`.
    """

    name: str
    head: Machine
    workers: Mapping[str, Machine]
    redis: Redis
    token: str
    tree: Path
    folder: Path
    environment: Mapping[str, str]
    worker_cpus: int = 2
    _running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def dashboard(self) -> str:
        """The address of the dashboard, which takes Serve configs."""
        return f"http://{self.head.address}:{DASHBOARD_PORT}"

    @property
    def servers(self) -> dict[str, str]:
        """The workers' proxies by name; the head's has no traffic, as in KubeRay."""
        return {
            f"{self.name}-{name}": f"{worker.address}:{HTTP_PORT}"
            for name, worker in self.workers.items()
        }

    def start(self) -> None:
        """Start all nodes, one after the other; NodeDidNotStart if one doesn't."""
        self.start_head()
        gcs = f"{self.head.address}:{GCS_PORT}"
        for name, worker in self.workers.items():
            options = ["--address", gcs, "--num-cpus", str(self.worker_cpus)]
            self._start(name, worker, options, _OF_WORKERS)

    def start_head(self) -> None:
        """Start the head, or start it again with the state that Redis has."""
        state = {
            "RAY_REDIS_ADDRESS": self.redis.address,
            "RAY_external_storage_namespace": self.name,
        }
        options = ["--head", "--port", str(GCS_PORT), "--num-cpus", "0"]
        options += ["--dashboard-host", "0.0.0.0"]  # noqa: S104  in its own network
        options += ["--dashboard-port", str(DASHBOARD_PORT)]
        options += ["--redis-password", self.redis.password]
        self._start("head", self.head, options, state)

    def kill_head(self) -> None:
        """Kill the head's processes with SIGKILL: GCS, dashboard, raylet and others."""
        self.head.kill()
        self._running.pop("head").wait()

    def stop(self) -> None:
        """Stop all nodes as the deletion of their pods does: SIGTERM, then SIGKILL."""
        for process in self._running.values():
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        end = time.monotonic() + _GRACE_SECONDS
        machines = [self.head, *self.workers.values()]
        while any(each.pids() for each in machines) and time.monotonic() < end:
            time.sleep(_POLL_SECONDS)
        for machine in machines:
            machine.kill()
        for process in self._running.values():
            process.wait()
        self._running.clear()

    def _start(
        self,
        name: str,
        machine: Machine,
        options: Sequence[str],
        variables: Mapping[str, str],
    ) -> None:
        folder = self.folder / f"{self.name}-{name}"
        folder.mkdir(exist_ok=True)
        environment = {**self._environment(folder), **variables}
        command = [*_command(machine, folder / "ray"), *options]
        if machine is self.head:
            # It has two CPUs of its own in configs/kuberay, and no replicas.
            command = ["sh", "-c", _OF_SESSION, "sh", *command]
        for attempt in range(1, _MAX_ATTEMPTS + 1):
            # Ray refuses to start a head whose address is in there while a process has
            # it in its command line: in a pod it would not see the workers.
            (folder / "ray" / "ray_current_cluster").unlink(missing_ok=True)
            process = machine.start(command, environment, folder / "ray.log")
            self._running[name] = process
            try:
                self._wait_for(process, machine, folder / "ray.log")
                return
            except NodeDidNotStart:
                machine.kill()
                if attempt == _MAX_ATTEMPTS:
                    raise

    def _wait_for(
        self, process: "subprocess.Popen[bytes]", machine: Machine, log: Path
    ) -> None:
        """Wait for a node; NodeDidNotStart if its process ends or takes too long."""
        probe = f"http://{machine.address}:{_AGENT_PORT}/api/healthz"
        end = time.monotonic() + _START_SECONDS
        while not _is_healthy(probe, self.token):
            if process.poll() is not None or time.monotonic() > end:
                lines = log.read_text().strip().splitlines()
                raise NodeDidNotStart(f"{machine.namespace}: {lines[-1]}")
            time.sleep(_POLL_SECONDS)

    def _environment(self, folder: Path) -> dict[str, str]:
        """Return a node's environment, in which nothing of this process's is left."""
        # A short name: the paths of its sockets may have 97 characters.
        haproxy = folder.parent / hashlib.sha256(folder.name.encode()).hexdigest()[:4]
        haproxy.mkdir(exist_ok=True)
        return {
            "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
            "HOME": str(folder),
            "PYTHONPATH": str(self.tree),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            **_ON_ONE_MACHINE,
            **_RELATIVE_NICENESS,
            **_haproxy_files(haproxy),
            **self.environment,
            "STEMSERVE_DATA_DIR": str(folder / "data"),
        }


def _command(machine: Machine, temp_dir: Path) -> list[str]:
    """Return the command that starts a node, as far as heads and workers agree."""
    ray = str(Path(sys.executable).with_name("ray"))
    return [
        *("nice", "-n", str(_NICENESS)),
        *(ray, "start", "--block", "--disable-usage-stats"),
        *("--node-ip-address", machine.address),
        *("--temp-dir", str(temp_dir)),
        *("--object-store-memory", str(_OBJECT_STORE_BYTES)),
        *("--dashboard-agent-listen-port", str(_AGENT_PORT)),
        *("--metrics-export-port", str(_METRICS_PORT)),
    ]


def _haproxy_files(folder: Path) -> dict[str, str]:
    """Return the variables that have Serve's HAProxy keep its files in `folder`.

    In a pod /tmp is its own; here all nodes share it.
    """
    files = {
        "CONFIG_FILE_LOC": "haproxy.cfg",
        "SOCKET_PATH": "admin.sock",
        "METRICS_SOCKET_PATH": "metrics.sock",
        "SERVER_STATE_BASE": "",
        "SERVER_STATE_FILE": "server-state",
    }
    return {
        f"RAY_SERVE_HAPROXY_{name}": str(folder / file) for name, file in files.items()
    }


def _is_healthy(probe: str, token: str) -> bool:
    """Whether a node's agent says so."""
    try:
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.get(probe, headers=headers, timeout=5).is_success
    except httpx.HTTPError:
        return False


def wait_until(
    condition: Callable[[], bool],
    timeout_seconds: float,
    what: str,
    poll_seconds: float = _POLL_SECONDS,
) -> float:
    """Wait until `condition()` is true; return the seconds.

    Raises TimeoutError that names `what`.
    """
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > timeout_seconds:
            raise TimeoutError(f"{what}: timeout after {timeout_seconds:g} s")
        time.sleep(poll_seconds)
    return time.monotonic() - began
