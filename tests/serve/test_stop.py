"""A server that is told to stop ends what it has begun."""

import signal
import socket
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests import media
from tests.serve.servers import own_server

PIECES = 20
HEAD = (
    "POST /separate HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {}\r\n\r\n"
)
PART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'


def upload(port: int, song: bytes, seconds: float) -> bytes:
    """Send a song over a time; return what comes back."""
    body = PART + song + b"\r\n--x--\r\n"
    size = len(body) // PIECES + 1
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(HEAD.format(len(body)).encode())
        for begin in range(0, len(body), size):
            time.sleep(seconds / PIECES)
            connection.sendall(body[begin : begin + size])
        return connection.recv(1000)


@pytest.mark.timeout(180)
def test_a_server_that_stops_takes_the_song_that_is_being_sent(
    tmp_path: Path,
) -> None:
    song, long_song = tmp_path / "a.wav", tmp_path / "long.wav"
    media.write_song(song, seconds=3.0)
    media.write_song(long_song, seconds=240.0)
    with (
        own_server(tmp_path / "data", tmp_path / "log") as (service, process),
        ThreadPoolExecutor() as threads,
    ):
        port = httpx.URL(service.url).port or 0
        running = service.submit(long_song)
        sent = threads.submit(upload, port, song.read_bytes(), 6.0)
        waited = threads.submit(
            httpx.get, f"{service.url}/job/{running}?wait=30", timeout=60
        )
        time.sleep(2)
        process.send_signal(signal.SIGTERM)
        assert waited.result().status_code == 200
        time.sleep(1)
        late = httpx.get(f"{service.url}/job/{running}")
        assert (late.status_code, "retry-after" in late.headers) == (503, True)
        assert sent.result().startswith(b"HTTP/1.1 200"), sent.result()
        process.wait(60)
    with sqlite3.connect(tmp_path / "data" / "jobs.sqlite3") as database:
        assert database.execute("SELECT count(*) FROM queue").fetchone() == (2,)
