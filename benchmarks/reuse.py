"""Response time for a song that was separated before, and for a new one.

    python benchmarks/reuse.py [--megabytes 10] [--rounds 6]

Both are the same `POST /separate` of the same mp3 over HTTP. The response to a cache
hit has a completed job, the other one a queued job; the time until that one is
completed is printed too.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Run from anywhere, installed or not.

import httpx  # noqa: E402

from benchmarks.service import server, server_parser, write_song  # noqa: E402

# Several in a row, so that the first one, with cold caches, is one of many.
_HITS = 10
_REST_SECONDS = 2.0
_ANEW = {"Cache-Control": "no-cache"}
# At the bit rate of `write_song`.
SECONDS_PER_MEGABYTE = 1e6 * 8 / 320_000


def posted(http: httpx.Client, song: bytes, **more: Any) -> tuple[float, Any]:
    """Send a song; return the response time in seconds, and the response."""
    began = time.perf_counter()
    answer = http.post("/separate", files={"file": ("song.mp3", song)}, **more)
    took = time.perf_counter() - began
    return took, answer.raise_for_status().json()


def over(http: httpx.Client, job_id: str) -> str:
    """Wait for the end of a job; return its final status."""
    while True:
        job = http.get(f"/job/{job_id}", params={"wait": 30}).json()
        if job["status"] not in ("pending", "processing"):
            return str(job["status"])


def measure(url: str, song: bytes, rounds: int) -> dict[str, float]:
    """Return medians in seconds: of a hit, a new song, and a new song's completion."""
    hits, new = [], []
    with httpx.Client(base_url=url, timeout=600) as http:
        began = time.perf_counter()
        _, first = posted(http, song)
        if over(http, first["job_id"]) != "completed":
            raise RuntimeError("the song was not separated")
        done = time.perf_counter() - began
        for _ in range(rounds):
            for _ in range(_HITS):
                took, answer = posted(http, song)
                if answer.get("cache") != "hit":
                    raise RuntimeError("the song was not found in the cache")
                hits.append(took)
            took, answer = posted(http, song, headers=_ANEW)
            new.append(took)
            http.delete(f"/job/{answer['job_id']}")
            # Wait for windows that are still being computed, so that hits run alone.
            time.sleep(_REST_SECONDS)
    return {
        "hit": statistics.median(hits),
        "hit_worst": max(hits),
        "new": statistics.median(new),
        "new_until_done": done,
    }


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    parser = server_parser(__doc__.splitlines()[0])
    parser.set_defaults(model="demo")
    parser.add_argument("--megabytes", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=6)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "song.mp3"
        write_song(path, options.megabytes * SECONDS_PER_MEGABYTE)
        song = path.read_bytes()
        with server(Path(place), options) as url:
            found = measure(url, song, options.rounds)
    print(f"an mp3 of {len(song) / 1e6:.1f} MB")
    for name, seconds in found.items():
        print(f"{name:15}{seconds * 1000:10.1f} ms")
    ratio = found["new"] / found["hit"]
    print(f"the response to a new song takes {ratio:.1f} times as long")


if __name__ == "__main__":
    main(sys.argv[1:])
