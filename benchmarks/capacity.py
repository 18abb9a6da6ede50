"""Songs an hour that one server separates, by their length, and what limits it.

    python benchmarks/capacity.py [--song-seconds 30 180 600 3600] [--model demo]

A server starts on a free port, with random weights of full size. A few clients more
than it separates songs at once send songs, wait, and download all stems, again and
again. The progress of jobs counts, so that songs of an hour need not end. With
`--model passthrough` the network costs nothing, and what is left is the service.
"""

import argparse
import json
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from threading import Event

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Run from anywhere, installed or not.

import httpx  # noqa: E402
import psutil  # noqa: E402

from benchmarks import idle, service  # noqa: E402
from benchmarks.engine import machine  # noqa: E402
from serve_app.separation.models import find  # noqa: E402
from serve_app.settings import Settings  # noqa: E402
from tools.load import footprint  # noqa: E402
from tools.load.footprint import LocalServer  # noqa: E402

# Clients that wait for a place: the next song is there when one ends.
_WAITING = 2
_SETTLE_SECONDS = 20.0
# What a process is for, by the beginning of its name; the first that fits.
_PARTS = {
    "ray::ServeReplica:stemserve:": "",
    "ray::ProxyActor": "proxy",
    "haproxy": "proxy",
    "python": "decoders",
}


@dataclass(frozen=True)
class Capacity:
    """What a server did with songs of one length; CPU in shares of a core."""

    song_seconds: float
    songs_per_hour: float
    cpu: dict[str, float]
    peak_mb: float

    @property
    def times_real_time(self) -> float:
        """Seconds of audio per second."""
        return self.songs_per_hour * self.song_seconds / 3600


class Jobs:
    """The clients of a server, and the jobs that they sent."""

    def __init__(self, url: str, song: Path) -> None:
        self._url, self._song = url, song
        self._places: list[str] = []
        self._done = Event()

    @contextmanager
    def sending(self, clients: int) -> Iterator[None]:
        """Let so many clients send songs until the context exits."""
        with ThreadPoolExecutor(clients) as pool:
            running = [pool.submit(self._repeat) for _ in range(clients)]
            try:
                yield
            finally:
                self._done.set()
                self._cancel()
        for each in running:
            each.result()

    def separated(self) -> float:
        """Return how many songs were separated so far, with those in progress."""
        with httpx.Client(base_url=self._url, timeout=60) as http:
            return sum(_share(http, place) for place in tuple(self._places))

    def _repeat(self) -> None:
        with httpx.Client(base_url=self._url, timeout=600) as http:
            while not self._done.is_set():
                self._send(http)

    def _send(self, http: httpx.Client) -> None:
        try:
            place = service.sent(http, self._song)
        except httpx.HTTPStatusError as error:
            if error.response.status_code != HTTPStatus.TOO_MANY_REQUESTS:
                raise
            self._done.wait(float(error.response.headers["Retry-After"]))
            return
        self._places.append(place)
        if self._done.is_set():
            http.delete(place)
            return
        try:
            service.download(http, service.separated(http, place))
        except (httpx.HTTPStatusError, RuntimeError):
            # Cancelled, because the measurement has ended.
            if not self._done.is_set():
                raise

    def _cancel(self) -> None:
        """Cancel what runs, so that the clients need not wait for it."""
        with httpx.Client(base_url=self._url, timeout=60) as http:
            for place in tuple(self._places):
                if _share(http, place) < 1:
                    http.delete(place)


def _share(http: httpx.Client, place: str) -> float:
    """Return how much of a song is separated: 0 to 1."""
    job = http.get(place).raise_for_status().json()
    return 1.0 if job["status"] == "completed" else job.get("progress", 0) / 100


def cpu(server: LocalServer) -> Counter[str]:
    """Return the CPU seconds of a server's processes so far, by what they are for."""
    found: Counter[str] = Counter()
    for process in server.family():
        try:
            times, part = process.cpu_times(), _part(idle.name(process))
        except psutil.NoSuchProcess:
            continue
        # A decoder has ended by then, and counts for the process that started it.
        found[part] += sum(times[:4])
    return found


def _part(name: str) -> str:
    for beginning, part in _PARTS.items():
        if name.startswith(beginning):
            # Ray adds the method that a replica runs.
            return part or re.split(r"\W", name.removeprefix(beginning))[0]
    return "Ray and others"


def measure(
    url: str, server: LocalServer, song: Path, options: argparse.Namespace
) -> tuple[float, dict[str, float], float]:
    """Return songs per second, CPU in shares of a core by part, and the peak in MB."""
    jobs = Jobs(url, song)
    with jobs.sending(Settings().songs_at_once + _WAITING):
        time.sleep(_SETTLE_SECONDS)
        began, before, used = time.monotonic(), jobs.separated(), cpu(server)
        with footprint.watched(server) as taken:
            time.sleep(60 * options.minutes)
        seconds, done = time.monotonic() - began, jobs.separated() - before
        shares = cpu(server) - used
    return (
        done / seconds,
        {part: round(spent / seconds, 2) for part, spent in shares.most_common()},
        max(taken.values["memory"]),
    )


def capacities(options: argparse.Namespace) -> Iterator[Capacity]:
    """Yield the capacity for each length, of one server."""
    spec = find(options.model)
    with tempfile.TemporaryDirectory() as place:
        folder, port = Path(place), idle.free_port()
        if not spec.weights.is_bundled:
            service.write_weights(spec, folder / "mirror")
        settings = {
            "STEMSERVE_MODEL": options.model,
            "STEMSERVE_WEIGHTS_DIR": str(folder / "weights"),
            "STEMSERVE_WEIGHTS_MIRROR": str(folder / "mirror"),
            "STEMSERVE_MAX_UPLOAD_BYTES": str(2**30),
        }
        with idle.server(folder, port, settings) as root:
            server = LocalServer(root, folder / "data")
            for seconds in options.song_seconds:
                song = folder / "song.mp3"
                service.write_song(song, seconds)
                rate, shares, peak = measure(
                    f"http://127.0.0.1:{port}", server, song, options
                )
                yield Capacity(seconds, 3600 * rate, shares, peak)


def main(arguments: Sequence[str]) -> None:
    """Measure and print a table."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    top.add_argument("--model", default="hdemucs_high_musdb_plus")
    lengths = [30.0, 180.0, 600.0, 3600.0]
    top.add_argument("--song-seconds", type=float, nargs="+", default=lengths)
    top.add_argument("--minutes", type=float, default=2.0, help="for each length")
    top.add_argument("--json", type=Path, help="write the figures to this file")
    options = top.parse_args(arguments)
    print(f"{options.model}, {machine()}")
    print("| song | songs an hour | times real time | CPU, of a core | peak MB |")
    print("|---|---|---|---|---|")
    found = []
    for one in capacities(options):
        found.append({**asdict(one), "times_real_time": one.times_real_time})
        parts = ", ".join(f"{part} {share:.2f}" for part, share in one.cpu.items())
        print(
            f"| {one.song_seconds:g} s | {one.songs_per_hour:.0f} | "
            f"{one.times_real_time:.1f} | {parts} | {one.peak_mb:.0f} |",
            flush=True,
        )
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
