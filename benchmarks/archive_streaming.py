"""Streaming of the archive, beside a bare Starlette file response.

    python benchmarks/archive_streaming.py [--gb 2] [--streams 50] [--check]

Both servers run uvicorn in a process of their own, and send the same sparse file. All
figures are of one run, side by side:

- throughput of one stream: the median of alternate rounds, as a share of the other's;
- memory: how much larger the process becomes while it sends many streams at once;
- slow clients: throughput of one stream beside many clients of 10 KB/s, as a share of
  that without them.

`--check` fails below 0.7, over 64 MB, and below 0.9.
"""

import argparse
import contextlib
import multiprocessing
import selectors
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Run from anywhere, installed or not.

from starlette.applications import Starlette  # noqa: E402
from starlette.requests import Request  # noqa: E402
from starlette.responses import FileResponse  # noqa: E402
from starlette.routing import Route  # noqa: E402
from starlette.types import ASGIApp  # noqa: E402

from serve_app.archive.http.streaming import app, server  # noqa: E402
from serve_app.database import Database  # noqa: E402
from serve_app.settings import Settings  # noqa: E402
from serve_app.storage.local import LocalStorage  # noqa: E402
from tests.unit.archive.http.streaming.service import (  # noqa: E402
    EPISODE,
    OBJECT_KEY,
    STORED_AT,
    Rows,
    StoredObjects,
)

_PATH = f"/media/{OBJECT_KEY}"
_LEAST_SHARE, _MOST_MB, _LEAST_SHARE_BESIDE_SLOW = 0.7, 64.0, 0.9
_SLOW_BYTES_PER_SECOND = 10_000
# Of slow clients, until the kernel's buffers are full and they wait for each other.
_SETTLE_SECONDS = 5.0


def archive(folder: Path, size_bytes: int) -> ASGIApp:
    """Return the archive's application, with one file."""
    rows = Rows(Database(f"sqlite:///{folder / 'jobs.sqlite3'}"))
    facts = {"object_key": OBJECT_KEY, "size_bytes": size_bytes, "store": "1"}
    more = {"sha256": "0" * 64, "media_type": "video/mp4", "stored_at": STORED_AT}
    rows.add(EPISODE.key, EPISODE, **facts, **more)
    objects = StoredObjects(LocalStorage(folder / "objects"))
    return app.build(rows.media, objects, Settings())


def bare(folder: Path, _: int) -> ASGIApp:
    """Return an application that sends the same file."""

    async def send(_: Request) -> FileResponse:
        return FileResponse(folder / "objects" / OBJECT_KEY, media_type="video/mp4")

    return Starlette(routes=[Route("/{path:path}", send)])


def serve(
    build: Callable[[Path, int], ASGIApp], folder: Path, size: int, port: Connection
) -> None:
    """Serve an application in this process; send its port."""
    config = server.configured(build(folder, size), "127.0.0.1", 0)
    sock = config.bind_socket()
    # From now on clients can connect, though nothing accepts them yet.
    sock.listen()
    port.send(sock.getsockname()[1])
    server.run(config, [sock])


class Child:
    """A server in a process of its own."""

    def __init__(
        self, build: Callable[[Path, int], ASGIApp], folder: Path, size: int
    ) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._process = context.Process(
            target=serve, args=(build, folder, size, theirs)
        )
        self._process.start()
        self.port: int = ours.recv()
        self._status = Path(f"/proc/{self._process.pid}")

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.join()

    def reset_peak(self) -> None:
        """Forget the largest resident set of the process (proc(5))."""
        (self._status / "clear_refs").write_text("5")

    def peak_mb(self) -> float:
        """Return the largest resident set since then."""
        for line in (self._status / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
        raise RuntimeError("the system does not tell the peak memory")

    def begin(self) -> socket.socket:
        """Ask for the file."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        request = f"GET {_PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        connection.sendall(request.encode())
        return connection

    def read(self) -> int:
        """Read the whole response; return its bytes."""
        buffer, taken = bytearray(2**20), 0
        with self.begin() as connection:
            while count := connection.recv_into(buffer):
                taken += count
        return taken

    def speed(self, size: int) -> float:
        """Return the bytes per second of one stream."""
        began = time.monotonic()
        if self.read() < size:
            raise RuntimeError("the response is incomplete")
        return size / (time.monotonic() - began)


def share_of_bare(ours: Child, theirs: Child, size: int, rounds: int) -> float:
    """Return the throughput of one stream as a share of the bare one's."""
    pairs = [(ours.speed(size), theirs.speed(size)) for _ in range(rounds)]
    return statistics.median(one / other for one, other in pairs)


def growth_mb(ours: Child, size: int, streams: int) -> float:
    """Return how much larger the process is while it sends many streams at once."""
    ours.reset_peak()
    idle = ours.peak_mb()
    taken: list[int] = []
    threads = [
        threading.Thread(target=lambda: taken.append(ours.read()))
        for _ in range(streams)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if sum(each >= size for each in taken) != streams:
        raise RuntimeError("a response is incomplete")
    return ours.peak_mb() - idle


@contextlib.contextmanager
def slow_clients(ours: Child, count: int) -> Iterator[None]:
    """Run clients that read 10 KB a second each."""
    ended = threading.Event()
    thread = threading.Thread(target=_read_slowly, args=(ours, count, ended))
    thread.start()
    time.sleep(_SETTLE_SECONDS)
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _read_slowly(ours: Child, count: int, ended: threading.Event) -> None:
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        for _ in range(count):
            selector.register(stack.enter_context(ours.begin()), selectors.EVENT_READ)
        while not ended.wait(1):
            for key, _ in selector.select(0):
                found = key.fileobj
                if isinstance(found, socket.socket):
                    found.recv(_SLOW_BYTES_PER_SECOND)


def share_beside_slow(ours: Child, size: int, count: int, rounds: int) -> float:
    """Return the throughput beside slow clients as a share of that without them."""
    alone: list[float] = []
    beside: list[float] = []
    for _ in range(rounds):
        alone.append(ours.speed(size))
        with slow_clients(ours, count):
            beside.append(ours.speed(size))
    return statistics.median(beside) / statistics.median(alone)


def main(arguments: Sequence[str]) -> int:
    """Measure, and print a line each."""
    top = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    top.add_argument("--gb", type=float, default=2.0, help="size of the file")
    top.add_argument("--streams", type=int, default=50, help="streams at once")
    top.add_argument("--slow", type=int, default=200, help="slow clients")
    top.add_argument("--rounds", type=int, default=5)
    top.add_argument("--check", action="store_true", help="fail below the bars")
    options = top.parse_args(arguments)
    size = int(options.gb * 1e9)
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as stack:
        folder = Path(place)
        path = folder / "objects" / OBJECT_KEY
        path.parent.mkdir(parents=True)
        with path.open("wb") as file:
            file.truncate(size)
        ours, theirs = (Child(build, folder, size) for build in (archive, bare))
        stack.callback(ours.close)
        stack.callback(theirs.close)
        for each in (ours, theirs):
            each.read()
        share = share_of_bare(ours, theirs, size, options.rounds)
        print(f"one stream: {share:.2f} of a bare file response", flush=True)
        grown = growth_mb(ours, size, options.streams)
        print(f"{options.streams} streams at once: {grown:.0f} MB more", flush=True)
        beside = share_beside_slow(ours, size, options.slow, options.rounds)
        print(f"beside {options.slow} slow clients: {beside:.2f} of the throughput")
    is_well = (
        share >= _LEAST_SHARE
        and grown <= _MOST_MB
        and beside >= _LEAST_SHARE_BESIDE_SLOW
    )
    return 0 if is_well or not options.check else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
