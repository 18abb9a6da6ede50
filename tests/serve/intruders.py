"""Another user of this machine, and another machine on its network."""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

import psutil

SCRIPT = Path(__file__).with_name("intruder.py")
# Others may run these tests beside us. The network is one for tests of devices (RFC
# 2544), which nobody routes.
_PID = os.getpid()
NAMESPACE, DEVICE, PEER = f"stemserve{_PID}", f"stem{_PID}", f"peer{_PID}"
_NETWORK = list(ip_network("198.18.0.0/15").subnets(new_prefix=30))[_PID % 2**15]
SERVER_ADDRESS, OTHER_ADDRESS = map(str, _NETWORK.hosts())

# What is said to those without the token, and by what speaks another protocol.
REFUSALS = {
    *("401", "403", "UNAUTHENTICATED", "UNIMPLEMENTED", "UNAVAILABLE"),
    *("BadStatusLine", "RemoteDisconnected", "ConnectionRefusedError"),
    *("ConnectionResetError", "TimeoutError", "DEADLINE_EXCEEDED"),
}


# The service's own answer: it has no such path.
NOT_FOUND = "404"


@dataclass(frozen=True)
class Answer:
    """What a port answered an attack."""

    port: int
    attack: str
    answer: str


def listening(server: psutil.Process) -> dict[int, str]:
    """Return the ports on which a server's processes listen, and at which address."""
    return {
        connection.laddr.port: connection.laddr.ip
        for process in (server, *server.children(recursive=True))
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }


def token_of(server: psutil.Process) -> str:
    """Return the token of a server's Ray, which its processes have from it."""
    return next(
        child.environ()["RAY_AUTH_TOKEN"]
        for child in server.children(recursive=True)
        if "RAY_AUTH_TOKEN" in child.environ()
    )


def attack(
    address: str,
    ports: Sequence[int],
    marks: Path,
    *,
    token: str | None = None,
    files: Sequence[Path] = (),
    through: Sequence[str] = (),
) -> list[Answer]:
    """Attack ports and files as `nobody`, by way of a command such as `ip netns exec`.

    Code that is run as the server leaves a file in the directory `marks`.
    """
    what = {
        "address": address,
        "ports": list(ports),
        "token": token,
        "marks": str(marks),
        "files": [str(path) for path in files],
    }
    done = subprocess.run(
        [*through, sys.executable, str(SCRIPT), json.dumps(what)],
        env={**os.environ, "RAY_AUTH_MODE": "disabled"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return [Answer(**each) for each in json.loads(done.stdout)]


def assert_shut_to_other_users(
    server: psutil.Process, http_port: int, marks: Path, files: Sequence[Path]
) -> None:
    """Attack every port at 127.0.0.1 without a token and with a wrong one."""
    ports = list(listening(server))
    for token in (None, "0" * 64):
        answers = attack("127.0.0.1", ports, marks, token=token, files=files)
        _assert_refused(answers, http_port, marks)
        met = {each.attack for each in answers if each.answer == "UNAUTHENTICATED"}
        assert {"pickle", "functions"} <= met, answers


def assert_shut_to_the_network(
    server: psutil.Process, http_port: int, marks: Path
) -> None:
    """Attack every port from another network, and find open what Serve opens."""
    ports = listening(server)
    with other_network() as through:
        for token in (None, "0" * 64):
            answers = attack(
                SERVER_ADDRESS, list(ports), marks, token=token, through=through
            )
            _assert_refused(answers, http_port, marks)
            reached = {
                each.port for each in answers if each.answer == "UNAUTHENTICATED"
            }
            # Serve has its replicas listen on all addresses.
            assert reached == {port for port, ip in ports.items() if ip == "::"}
            served = {each.port for each in answers if each.answer == NOT_FOUND}
            assert served == {http_port} - set(on_loopback(ports))


def on_loopback(ports: Mapping[int, str]) -> list[int]:
    """Return those of the ports that only this machine can connect to."""
    return [port for port, ip in ports.items() if "127.0.0.1" in ip]


@functools.cache
def reason_not_to_try() -> str:
    """Return why another user and another network can't be had; empty if they can."""
    if os.geteuid() != 0:
        return "only root can become another user and make another network"
    try:
        with other_network():
            return ""
    except (OSError, AssertionError) as error:
        return str(error)


@contextmanager
def other_network() -> Iterator[Sequence[str]]:
    """Make a network of two hosts; give what runs a command on the other one."""
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
    assert not list(marks.iterdir()), "an attack has run code as the server"
    for each in answers:
        is_ours = each.port == http_port and each.answer in (NOT_FOUND, "421")
        assert is_ours or each.answer in REFUSALS, each
