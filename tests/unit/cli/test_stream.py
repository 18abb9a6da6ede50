"""`stemserve stream` serves stored media, and ends in time when it is told to."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from serve_app.database import Database
from tests.ports import free_port
from tests.unit.archive.http.streaming.service import OBJECT_KEY, Rows

CONTENT = bytes(50_000_000)


@pytest.fixture
def open_until_the_end() -> Iterator[ExitStack]:
    """Close what a test opens when the process has ended."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Run the command over a stored film."""
    with Database(f"sqlite:///{tmp_path / 'jobs.sqlite3'}") as database:
        Rows(database).add_ready(CONTENT)
    path = tmp_path / "store" / OBJECT_KEY
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    port = free_port()
    settings = {
        "STEMSERVE_DATA_DIR": str(tmp_path),
        "STEMSERVE_ARCHIVE_STORES": str(tmp_path / "store"),
        "STEMSERVE_ARCHIVE_PORT": str(port),
        "STEMSERVE_ARCHIVE_SALT": "test-salt",
    }
    command = [sys.executable, "-m", "serve_app.cli", "stream"]
    with subprocess.Popen(command, env={**os.environ, **settings}) as process:
        try:
            wait_for(port, process)
            yield port
        finally:
            process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            process.wait(30)
            assert time.monotonic() - began < 15


def wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    while process.poll() is None:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.05)
    raise AssertionError("the process has ended")


def test_it_streams_what_is_stored(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/health")
    health = json.loads(connection.getresponse().read())
    assert (health["status"], health["storage_accounts"]) == ("ok", 1)
    connection.request("GET", f"/media/{OBJECT_KEY}", headers={"Range": "bytes=5-9"})
    response = connection.getresponse()
    assert (response.status, response.read()) == (206, bytes(5))
    connection.close()


def test_a_wrong_setting_of_the_archive_ends_it_with_a_line() -> None:
    command = [sys.executable, "-m", "serve_app.cli", "stream"]
    wrong = {"STEMSERVE_ARCHIVE_URL": "media.example.com"}
    ended = subprocess.run(
        command,
        env={**os.environ, **wrong},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 2
    assert "STEMSERVE_ARCHIVE_URL" in ended.stderr
    assert "must begin with http:// or https://" in ended.stderr


def test_a_player_that_pauses_does_not_keep_it_from_ending(
    open_until_the_end: ExitStack, port: int
) -> None:
    """The time that the process takes to end is that of the fixture."""
    connection = open_until_the_end.enter_context(
        socket.create_connection(("127.0.0.1", port))
    )
    connection.sendall(f"GET /media/{OBJECT_KEY} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert connection.recv(100)
