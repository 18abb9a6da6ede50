"""The cost of access control: a cheap request with a key, and one to an open server.

    python benchmarks/access_cost.py [--requests 5000] [--check]

`GET /whoami` in this process, alternating, over one SQLite database: without access
control, with access open, and with an API key. `--check` fails if the median with a key
is more than 0.3 ms above that with access open.
"""

import argparse
import asyncio
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import in_process
from serve_app.access.http.door import AccessPolicy
from serve_app.api.door import OpenDoor
from tests.unit.access.gate import application, guarded

_PATH = "/whoami"
_MOST_MS = 0.3
_WARM_UP = 200
NONE, OPEN, KEY = "no access control", "open", "with a key"


async def run(requests: int) -> dict[str, float]:
    """Return the median time of each kind of request, in milliseconds."""
    async with (
        in_process.server() as server,
        guarded(server, AccessPolicy(False)) as opened,
        guarded(server, AccessPolicy(True)) as closed,
    ):
        _, headers = closed.key()
        kinds = {
            NONE: (application(server, OpenDoor(), closed.keys), {}),
            OPEN: (opened.app, {}),
            KEY: (closed.app, headers),
        }
        times_ms: dict[str, list[float]] = {name: [] for name in kinds}
        for number in range(_WARM_UP + requests):
            for name, (app, sent) in kinds.items():
                status, took_ns = await in_process.timed(app, _PATH, sent)
                if status != 200:
                    raise RuntimeError(f"{name}: {status}")
                if number >= _WARM_UP:
                    times_ms[name].append(took_ns / 1e6)
    return {name: statistics.median(each) for name, each in times_ms.items()}


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and return 1 if a key costs too much."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=5_000, help="of each kind")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    medians = asyncio.run(run(options.requests))
    for name, median_ms in medians.items():
        print(f"{name:18} {median_ms:.3f} ms")
    cost_ms = medians[KEY] - medians[OPEN]
    print(f"a key costs {cost_ms:+.3f} ms a request (at most {_MOST_MS} ms)")
    return int(options.check and cost_ms > _MOST_MS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
