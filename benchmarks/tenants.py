"""Slowdown of one tenant's song behind the full queue of another tenant.

    python benchmarks/tenants.py [--queued 200] [--seconds 60] [--rounds 3]

A server starts on a free port, with random weights of full size. Tenant B sends a song
to the idle server, several times. Then tenant A queues many songs, and B sends its song
again. The result is the ratio of B's times. B's song may take twice its time alone.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Run from anywhere, installed or not.

import httpx  # noqa: E402

from benchmarks import service  # noqa: E402
from benchmarks.engine import machine  # noqa: E402
from serve_app.separation.models import find  # noqa: E402

_HEADER = "X-Tenant"
# After this time the songs of the first tenant fill the pool.
_SETTLE_SECONDS = 10.0
_UPLOADS_AT_ONCE = 2
_SETTINGS = {
    "STEMSERVE_TENANT_HEADER": _HEADER,
    "STEMSERVE_MAX_QUEUED_JOBS": "1000",
    # A long queue must not expire while it is measured.
    "STEMSERVE_RETENTION_SECONDS": "7200",
}


def client(url: str, tenant: str) -> httpx.Client:
    """Return a client that a gateway names as `tenant`."""
    return httpx.Client(base_url=url, timeout=600, headers={_HEADER: tenant})


def seconds_of(http: httpx.Client, song: Path) -> float:
    """Send a song and wait for its stems; return the seconds."""
    began = time.perf_counter()
    service.separated(http, service.sent(http, song))
    return time.perf_counter() - began


def measure(options: argparse.Namespace) -> tuple[list[float], list[float]]:
    """Return the seconds of B's song alone, and behind A's queue."""
    spec = find(options.model)
    with tempfile.TemporaryDirectory() as place:
        folder, song = Path(place), Path(place) / "song.mp3"
        if not spec.weights.is_bundled:
            service.write_weights(spec, folder / "mirror")
        service.write_song(song, options.seconds)
        with service.server(folder, options) as url, client(url, "b") as b:
            seconds_of(b, song)
            alone = [seconds_of(b, song) for _ in range(options.rounds)]
            print("alone:", [f"{each:.1f}" for each in alone], flush=True)
            with client(url, "a") as a, ThreadPoolExecutor(_UPLOADS_AT_ONCE) as pool:
                list(pool.map(lambda _: service.sent(a, song), range(options.queued)))
                time.sleep(_SETTLE_SECONDS)
                behind = [seconds_of(b, song) for _ in range(options.rounds)]
                if a.get("/health").json()["queue"]["queued"] < 1:
                    raise RuntimeError("the queue is empty. Increase --queued")
            return alone, behind


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    top = service.server_parser(__doc__.splitlines()[0])
    top.add_argument("--queued", type=int, default=200, help="songs of tenant A")
    top.add_argument("--seconds", type=float, default=60.0, help="of each song")
    top.add_argument("--rounds", type=int, default=3)
    return top


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    options = parser().parse_args(arguments)
    os.environ.update(_SETTINGS)
    alone, behind = measure(options)
    print(f"{options.model}, {options.runtime} {options.precision}, {machine()}")
    print(f"behind {options.queued} songs:", [f"{each:.1f}" for each in behind])
    ratio = statistics.median(behind) / statistics.median(alone)
    print(f"ratio of the medians {ratio:.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
