"""Slowdown of short songs that are sent while the server separates a long one.

    python benchmarks/fairness.py [--songs 8] [--short-seconds 30] [--long-minutes 60]

A server starts on a free port, with random weights of full size. The short songs are
sent at once, first to the idle server, then while it separates the long song.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Run from anywhere, installed or not.

import httpx  # noqa: E402

from benchmarks import service  # noqa: E402
from benchmarks.engine import machine  # noqa: E402
from serve_app.separation.models import find  # noqa: E402

# After this time the first windows of the long song are being computed.
_SETTLE_SECONDS = 5.0
_POLL_SECONDS = 0.25


@contextmanager
def under_way(url: str, song: Path) -> Iterator[None]:
    """Keep the server busy with a song; cancel it on exit."""
    with httpx.Client(base_url=url, timeout=600) as http:
        place = service.sent(http, song)
        while http.get(place).json().get("stage") != "separate":
            time.sleep(_POLL_SECONDS)
        time.sleep(_SETTLE_SECONDS)
        yield
        if http.get(place).json()["status"] != "processing":
            raise RuntimeError(
                "the long song ended before the short ones. Increase --long-minutes"
            )
        http.delete(place).raise_for_status()


def measure(options: argparse.Namespace) -> tuple[float, float]:
    """Return the short songs' seconds alone, and beside the long song."""
    spec = find(options.model)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if not spec.weights.is_bundled:
            service.write_weights(spec, folder / "mirror")
        short, long = folder / "short.mp3", folder / "long.mp3"
        service.write_song(short, options.short_seconds)
        service.write_song(long, 60 * options.long_minutes)
        with service.server(folder, options) as url:
            service.seconds_of(url, short, "wav")
            alone = service.together(url, short, options.songs)
            print(f"{options.songs} short songs alone: {alone:.1f} s", flush=True)
            with under_way(url, long):
                return alone, service.together(url, short, options.songs)


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    top = service.server_parser(__doc__.splitlines()[0])
    top.add_argument("--songs", type=int, default=8)
    top.add_argument("--short-seconds", type=float, default=30.0)
    top.add_argument("--long-minutes", type=float, default=60.0)
    return top


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    options = parser().parse_args(arguments)
    alone, behind = measure(options)
    print(f"{options.model}, {options.runtime} {options.precision}, {machine()}")
    print(f"behind one of {options.long_minutes:g} min: {behind:.1f} s")
    print(f"ratio {behind / alone:.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
