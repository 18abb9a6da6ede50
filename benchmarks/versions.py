"""Compare this version with another one by paired ratios of four benchmarks.

    git worktree add ../before TAG
    python benchmarks/versions.py ../before [--rounds 10] [--only claims reuse]

Both versions run on this machine with the same packages, and take turns: in each round
one is measured right after the other, in changing order. A ratio over 1 means that this
version is slower. The interval is that of the mean ratio, at 95 %.
"""

import argparse
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Run from anywhere, installed or not.

import httpx  # noqa: E402
from scipy import stats  # noqa: E402

from benchmarks import fairness, reuse, service  # noqa: E402
from serve_app.separation.models import find  # noqa: E402

# A round's seconds by version: "before" and "after".
Measure = Callable[[str], float]

_HITS = 10
_REUSE_MEGABYTES = 10.0
_SERVICE_SECONDS = 210.0
_QUEUED = (10_000, 100_000)
# A dispatcher's first few claims take longer: they prepare the statements.
_CLAIMS = 9_600
# One batch of short songs takes up to 20 % more or less time than the next one.
_REPEATS = 3


@contextmanager
def servers(
    trees: dict[str, Path], options: argparse.Namespace
) -> Iterator[dict[str, str]]:
    """Run the service of both versions; yield their addresses by version."""
    spec = find(options.model)
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        urls = {}
        for version, tree in trees.items():
            folder = Path(place) / version
            folder.mkdir()
            if not spec.weights.is_bundled:
                service.write_weights(spec, folder / "mirror")
            running = service.server(folder, options, tree)
            urls[version] = stack.enter_context(running)
        yield urls


@contextmanager
def claims(trees: dict[str, Path], queued: int) -> Iterator[Measure]:
    """Measure the seconds of a thousand claims with so many jobs queued."""

    def measure(version: str) -> float:
        tree = trees[version]
        command = [sys.executable, "benchmarks/claims.py", "--rounds", "1"]
        done = subprocess.run(
            [*command, "--queued", str(queued), "--claims", str(_CLAIMS)],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree)},
            capture_output=True,
            text=True,
            check=True,
        )
        found = re.search(r"median with \d+ queued: (\d+) claims/s", done.stdout)
        if found is None:
            raise RuntimeError(f"no rate in: {done.stdout}")
        return 1_000 / float(found[1])

    yield measure


@contextmanager
def hits(trees: dict[str, Path], options: argparse.Namespace) -> Iterator[Measure]:
    """Measure the response time for a song that was separated before."""
    options.model = "demo"
    with tempfile.TemporaryDirectory() as place, servers(trees, options) as urls:
        path = Path(place) / "song.mp3"
        service.write_song(path, _REUSE_MEGABYTES * reuse.SECONDS_PER_MEGABYTE)
        song = path.read_bytes()
        for url in urls.values():
            with httpx.Client(base_url=url, timeout=600) as http:
                _, first = reuse.posted(http, song)
                reuse.over(http, first["job_id"])

        def measure(version: str) -> float:
            with httpx.Client(base_url=urls[version], timeout=600) as http:
                found = [reuse.posted(http, song) for _ in range(_HITS)]
            if any(answer.get("cache") != "hit" for _, answer in found):
                raise RuntimeError("the song was not found in the cache")
            return statistics.median(seconds for seconds, _ in found)

        yield measure


@contextmanager
def song(trees: dict[str, Path], options: argparse.Namespace) -> Iterator[Measure]:
    """Measure a song from its first byte sent to the last byte of its stems."""
    with tempfile.TemporaryDirectory() as place, servers(trees, options) as urls:
        path = Path(place) / "song.mp3"
        service.write_song(path, _SERVICE_SECONDS)
        yield lambda version: service.seconds_of(urls[version], path, "wav")


@contextmanager
def beside(trees: dict[str, Path], options: argparse.Namespace) -> Iterator[Measure]:
    """Measure batches of short songs that are sent while a long one is separated.

    Each time with a new server, alone on the machine: two servers of one version
    differ by 5 %.
    """
    with tempfile.TemporaryDirectory() as place:
        short, long = Path(place) / "short.mp3", Path(place) / "long.mp3"
        service.write_song(short, options.short_seconds)
        service.write_song(long, 60 * options.long_minutes)

        def measure(version: str) -> float:
            with servers({version: trees[version]}, options) as urls:
                url = urls[version]
                service.together(url, short, options.songs)
                with fairness.under_way(url, long):
                    return sum(
                        service.together(url, short, options.songs)
                        for _ in range(_REPEATS)
                    )

        yield measure


def ratios(measure: Measure, rounds: int) -> list[float]:
    """Return the ratio after/before of each round; the first measurement is dropped."""
    for version in ("before", "after"):
        measure(version)
    found = []
    for number in range(rounds):
        order = ("before", "after") if number % 2 == 0 else ("after", "before")
        seconds = {version: measure(version) for version in order}
        found.append(seconds["after"] / seconds["before"])
        told = ", ".join(f"{name} {value:.3f} s" for name, value in seconds.items())
        print(f"  {told}, ratio {found[-1]:.3f}", flush=True)
    return found


def interval(found: Sequence[float]) -> tuple[float, float, float]:
    """Return the geometric mean of ratios, and its 95 % interval by Student's t."""
    logs = [math.log(ratio) for ratio in found]
    mean, error = statistics.fmean(logs), stats.sem(logs)
    half = float(stats.t.ppf(0.975, len(logs) - 1) * error)
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


def main(arguments: Sequence[str]) -> int:
    """Measure and print; return 1 if an interval reaches `--limit`."""
    parser = fairness.parser()
    parser.description = __doc__.splitlines()[0]
    parser.add_argument("before", type=Path, help="a checkout of the other version")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--limit", type=float, default=1.05)
    names = ("claims", "reuse", "service", "fairness")
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    options = parser.parse_args(arguments)
    trees = {"before": options.before.resolve(), "after": ROOT}
    measures = {
        **{f"claims, {n} queued": (lambda n=n: claims(trees, n)) for n in _QUEUED},
        "reuse": lambda: hits(trees, argparse.Namespace(**vars(options))),
        "service": lambda: song(trees, options),
        "fairness": lambda: beside(trees, options),
    }
    slower = 0
    for name, measured in measures.items():
        if name.split(",")[0] not in options.only:
            continue
        print(name, flush=True)
        with measured() as measure:
            mean, low, high = interval(ratios(measure, options.rounds))
        print(f"{name}: {mean:.3f}, 95 % from {low:.3f} to {high:.3f}", flush=True)
        slower += high >= options.limit
    return int(slower > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
