"""Attacks by another user of this machine, and from another machine."""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import psutil

SCRIPT = Path(__file__).with_name("intruder.py")
# The names are unique, because these tests may run several times at once. The network
# is reserved for tests of devices (RFC 2544) and is not routed.
_PID = os.getpid()
NAMESPACE, DEVICE, PEER = f"stemserve{_PID}", f"stem{_PID}", f"peer{_PID}"
_NETWORK = list(ip_network("198.18.0.0/15").subnets(new_prefix=30))[_PID % 2**15]
SERVER_ADDRESS, OTHER_ADDRESS = map(str, _NETWORK.hosts())

# Results without the token, and from servers of other protocols.
REFUSALS = {
    *("401", "403", "UNAUTHENTICATED", "UNIMPLEMENTED", "UNAVAILABLE"),
    *("BadStatusLine", "RemoteDisconnected", "ConnectionRefusedError"),
    *("ConnectionResetError", "TimeoutError", "DEADLINE_EXCEEDED"),
}
# Results if nothing listens.
UNREACHED = {"ConnectionRefusedError", "UNAVAILABLE"}

# The service's response: it has no such path.
NOT_FOUND = "404"


@dataclass(frozen=True)
class Answer:
    """The result of an attack on a port."""

    port: int
    attack: str
    answer: str


def listening(server: psutil.Process) -> dict[int, str]:
    """Return the ports on which a server's processes listen, with their addresses."""
    return {
        connection.laddr.port: connection.laddr.ip
        for process in (server, *server.children(recursive=True))
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }


def process_of(server: psutil.Process, name: str) -> psutil.Process:
    """Return the process of this name of a server's Ray."""
    children = server.children(recursive=True)
    return next(child for child in children if child.name() == name)


def _vital_processes(server: psutil.Process) -> set[psutil.Process]:
    """Return the processes that a server can't run without."""
    names = ("gcs_server", "raylet", "ray::Serve", "ray::Proxy")
    return {
        child
        for child in server.children(recursive=True)
        if child.name().startswith(names) or child.cmdline()[0].startswith(names)
    }


def environment_of(server: psutil.Process) -> dict[str, str]:
    """Return the environment of a server's Ray."""
    return process_of(server, "raylet").environ()


def token_of(server: psutil.Process) -> str:
    """Return the token of a server's Ray."""
    return environment_of(server)["RAY_AUTH_TOKEN"]


def certificate_of(server: psutil.Process) -> tuple[str, str]:
    """Return the certificate of a server's Ray, and its key."""
    environment = environment_of(server)
    names = ("RAY_TLS_SERVER_CERT", "RAY_TLS_SERVER_KEY")
    certificate, key = (Path(environment[name]).read_text() for name in names)
    return certificate, key


def attack(
    address: str,
    ports: Sequence[int],
    marks: Path,
    *,
    token: str | None = None,
    certificate: tuple[str, str] | None = None,
    files: Sequence[Path] = (),
    through: Sequence[str] = (),
) -> list[Answer]:
    """Attack ports and files as `nobody`, through a command such as `ip netns exec`.

    Code that an attack manages to run creates a file in the directory `marks`.
    """
    answers = _as_nobody(
        through,
        address=address,
        ports=list(ports),
        token=token,
        certificate=certificate,
        marks=str(marks),
        files=[str(path) for path in files],
    )
    return [Answer(**each) for each in answers]


def caught(
    server: psutil.Process, process: psutil.Process, port: int, seconds: float
) -> list[bytes]:
    """Kill one of a server's processes and listen at its port, as `nobody`.

    Returns what each connection sent. The server itself is paused (SIGSTOP) meanwhile,
    so that it can't stop its processes first.
    """
    server.suspend()
    try:
        with ThreadPoolExecutor(1) as pool:
            sent = pool.submit(_as_nobody, (), ports=[port], catch=seconds)
            process.kill()
            return [bytes.fromhex(each) for each in sent.result()]
    finally:
        server.resume()


def _as_nobody(through: Sequence[str], **what: Any) -> list[Any]:
    """Run the intruder; return what it prints."""
    done = subprocess.run(
        [*through, sys.executable, str(SCRIPT), json.dumps({"catch": 0, **what})],
        env={**os.environ, "RAY_AUTH_MODE": "disabled"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    answers: list[Any] = json.loads(done.stdout)
    return answers


def assert_shut_to_other_users(
    server: psutil.Process, http_port: int, marks: Path, files: Sequence[Path]
) -> None:
    """Attack every port at 127.0.0.1 without a token and with a wrong one."""
    ports, vital = listening(server), _vital_processes(server)
    for token in (None, "0" * 64):
        answers = attack("127.0.0.1", list(ports), marks, token=token, files=files)
        _assert_refused(answers, http_port, marks)
        assert _vital_processes(server) == vital, "an attack ended a process"


def assert_shut_to_the_network(
    server: psutil.Process, http_port: int, marks: Path
) -> None:
    """Attack every port from another network; only the HTTP port is reachable."""
    ports = listening(server)
    assert set(ports) - set(on_loopback(ports)) <= {http_port}
    with other_network() as through:
        for token in (None, "0" * 64):
            answers = attack(
                SERVER_ADDRESS, list(ports), marks, token=token, through=through
            )
            _assert_refused(answers, http_port, marks)
            reached = {each.port for each in answers if each.answer not in UNREACHED}
            assert reached <= {http_port}
            served = {each.port for each in answers if each.answer == NOT_FOUND}
            assert served == {http_port} - set(on_loopback(ports))


def on_loopback(ports: Mapping[int, str]) -> list[int]:
    """Return the ports that listen on loopback."""
    return [port for port, ip in ports.items() if "127.0.0.1" in ip]


@functools.cache
def reason_not_to_try() -> str:
    """Return why attacks by others can't be simulated; empty if they can."""
    if os.geteuid() != 0:
        return "only root can switch to another user and create a network"
    try:
        with other_network():
            return ""
    except (OSError, AssertionError) as error:
        return str(error)


@contextmanager
def other_network() -> Iterator[Sequence[str]]:
    """Create a network of two hosts; yield a prefix that runs commands on the other."""
    try:
        inside = ("netns", "exec", NAMESPACE)
        for command in (
            f"netns add {NAMESPACE}",
            f"link add {DEVICE} type veth peer {PEER}",
            f"link set {PEER} netns {NAMESPACE}",
            f"address add {SERVER_ADDRESS}/30 dev {DEVICE}",
            f"link set {DEVICE} up",
            f"-n {NAMESPACE} address add {OTHER_ADDRESS}/30 dev {PEER}",
            f"-n {NAMESPACE} link set {PEER} up",
        ):
            done = _ip(*command.split())
            assert done.returncode == 0, done.stderr
        yield ("ip", *inside)
    finally:
        _ip("link", "delete", DEVICE)
        _ip("netns", "delete", NAMESPACE)


def _ip(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["ip", *arguments], capture_output=True, text=True)


def _assert_refused(answers: Sequence[Answer], http_port: int, marks: Path) -> None:
    assert not list(marks.iterdir()), "an attack ran code as the server"
    for each in answers:
        is_ours = each.port == http_port and each.answer in (NOT_FOUND, "421")
        assert is_ours or each.answer in REFUSALS, each
