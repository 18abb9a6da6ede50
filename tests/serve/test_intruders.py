"""No other machine, and no other user of this one, can run code as the server."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.ports import free_port
from tests.serve.intruders import (
    SERVER_ADDRESS,
    assert_shut_to_other_users,
    assert_shut_to_the_network,
    attack,
    caught,
    certificate_of,
    environment_of,
    listening,
    other_network,
    process_of,
    reason_not_to_try,
    token_of,
)
from tests.serve.servers import own_server
from tests.serve.service import wait_for

HTTP = free_port()
# Ray reconnects within a second or two.
CATCH_SECONDS = 6.0
# The first byte that a TLS client sends (RFC 8446, 5.1).
TLS_HANDSHAKE = b"\x16"
PING = (
    *("curl", "--silent", "--max-time", "5", "--output", "/dev/null"),
    *("--write-out", "%{http_code}", f"http://{SERVER_ADDRESS}:{HTTP}/ping"),
)


@pytest.fixture(scope="module", autouse=True)
def root() -> None:
    if reason := reason_not_to_try():
        pytest.skip(f"NOT TESTED as another user or from another network: {reason}")


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """Create a directory that other users can read, as a home may be."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def server(directory: Path) -> Iterator[psutil.Process]:
    """Run a server that listens on all addresses."""
    all_addresses = "0.0.0.0"  # noqa: S104  of the test machine
    log = directory / "server.log"
    with own_server(directory / "data", log, HTTP, all_addresses) as (_, process):
        yield process


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    """Create the directory in which code run by an attack creates files."""
    marks = tmp_path / "marks"
    marks.mkdir()
    return marks


def test_another_user_of_the_machine_runs_nothing_and_reads_nothing(
    server: psutil.Process, marks: Path, directory: Path
) -> None:
    log = directory / "server.log"
    wait_for(lambda: "Logs: " in log.read_text())
    logs = log.read_text().partition("Logs: ")[2]
    ray = Path(logs.partition("/ray/")[0])
    assert list(ray.rglob("raylet")), "Ray's sockets are in another directory"
    files = [ray, directory / "data"]
    assert_shut_to_other_users(server, HTTP, marks, files)


def test_another_machine_on_the_network_runs_nothing(
    server: psutil.Process, marks: Path
) -> None:
    assert_shut_to_the_network(server, HTTP, marks)
    with other_network() as through:
        done = subprocess.run([*through, *PING], capture_output=True, text=True)
    assert done.stdout == "200"


def test_the_attacks_are_real_with_the_token_and_the_certificate(
    server: psutil.Process, marks: Path
) -> None:
    """The token is in no command line, where others could read it."""
    token, certificate = token_of(server), certificate_of(server)
    ports = list(listening(server))
    # Only gRPC ports: over HTTP the token alone is sufficient.
    grpc_ports = [
        each.port
        for each in attack("127.0.0.1", ports, marks, certificate=certificate)
        if (each.attack, each.answer) == ("pickle", "UNAUTHENTICATED")
    ]
    assert not list(marks.iterdir())
    attack("127.0.0.1", grpc_ports, marks, token=token)
    assert not list(marks.iterdir()), "the token alone is sufficient"
    attack("127.0.0.1", grpc_ports, marks, token=token, certificate=certificate)
    assert list(marks.glob("pickle-*"))
    everything = (server, *server.children(recursive=True))
    assert not any(token in " ".join(process.cmdline()) for process in everything)


def test_whoever_takes_the_place_of_a_dead_process_is_told_no_token(
    server: psutil.Process, directory: Path
) -> None:
    """The server reports why it ends, and leaves no process and no key behind."""
    token = token_of(server)
    key = Path(environment_of(server)["RAY_TLS_SERVER_KEY"])
    assert key.exists()
    everything = [server, *server.children(recursive=True)]
    gcs = process_of(server, "gcs_server")
    (port,) = listening(gcs)
    sent = caught(server, gcs, port, CATCH_SECONDS)
    assert sent, "Ray did not reconnect to the dead process"
    assert not any(token.encode() in each for each in sent)
    assert all(each[:1] == TLS_HANDSHAKE for each in sent if each)
    assert server.wait(20) == 3
    _, alive = psutil.wait_procs(everything[1:], timeout=10)
    assert not alive
    assert not key.parent.exists()
    log = directory / "server.log"
    assert "Ray's gcs_server has ended (SIGKILL)" in log.read_text()
