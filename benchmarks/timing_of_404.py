"""Whether the time of a 404 tells another tenant's job from an unknown id.

    python benchmarks/timing_of_404.py [--requests 10000] [--check]

For each route: requests for jobs of another tenant and for unknown ids, in random
order, to the application in this process. The difference of the medians has a 99 %
interval by bootstrap; p is that of the Mann-Whitney test. `--check` fails if a whole
interval is beyond 1 % of the median: such a difference could be measured from outside.
"""

import argparse
import asyncio
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu
from sqlalchemy import insert

from benchmarks import in_process
from serve_app.jobs.job import State
from serve_app.jobs.kind import Rules
from serve_app.jobs.table import queue, to_row
from serve_app.stems.analysis_jobs.kind import song_analysis
from serve_app.stems.analysis_jobs.request import (
    AnalysisRequest,
    AnalysisResult,
)
from serve_app.stems.kind import separation
from tests.jobs import RESULT, new_job
from tests.unit.access.gate import Gate, guarded

ROUTES = (
    "/job/{}",
    "/job/{}/stems/drums",
    "/job/{}/events",
    "/job/{}/analysis",
    "/job/{}/deliveries",
    "/analyze/{}",
)
_ANALYSES = "/analyze/"
_JOBS = 200
_RESAMPLES = 1_000
_LARGEST_SHARE = 0.01
_WARM_UP = 200


@dataclass(frozen=True)
class Timing:
    """The times of a route, in microseconds: of another's jobs, and of unknown ids."""

    route: str
    others: NDArray[np.float64]
    unknown: NDArray[np.float64]

    @property
    def difference(self) -> float:
        """The difference of the medians."""
        return float(np.median(self.others) - np.median(self.unknown))

    @property
    def share(self) -> float:
        """The difference as a fraction of the median."""
        return abs(self.difference) / float(np.median(self.unknown))

    @property
    def is_telling(self) -> bool:
        """Whether the difference is surely large."""
        low, high = self.interval()
        most = _LARGEST_SHARE * float(np.median(self.unknown))
        return low > most or high < -most

    def interval(self) -> tuple[float, float]:
        """Return the 99 % interval of the difference."""
        dice = np.random.default_rng(1)
        differences = [
            np.median(dice.choice(self.others, self.others.size))
            - np.median(dice.choice(self.unknown, self.unknown.size))
            for _ in range(_RESAMPLES)
        ]
        low, high = np.percentile(differences, [0.5, 99.5])
        return float(low), float(high)


def fill(gate: Gate, tenant: str) -> tuple[list[str], list[str]]:
    """Give a tenant finished jobs and analyses; return their ids."""
    songs = [
        new_job(uuid4().hex, tenant=tenant, state=State.SUCCEEDED, result=RESULT)
        for _ in range(_JOBS)
    ]
    analyses = [
        song.evolve(
            id=uuid4().hex,
            request=AnalysisRequest(song.request.source),
            result=AnalysisResult(dict(RESULT.analysis or {})),
        )
        for song in songs
    ]
    rows = [to_row(separation(), song) for song in songs]
    rows += [to_row(song_analysis(Rules()), analysis) for analysis in analyses]
    with gate.server.database.writing() as connection:
        connection.execute(insert(queue), rows)
    return [job.id for job in songs], [job.id for job in analyses]


async def measured(
    gate: Gate, route: str, others: Sequence[str], requests: int
) -> Timing:
    """Measure a route."""
    _, headers = gate.key(tenant="globex")
    unknown = [uuid4().hex for _ in others]
    for _ in range(_WARM_UP):
        await in_process.timed(gate.app, route.format(others[0]), headers)
    is_others = [True] * requests + [False] * requests
    random.shuffle(is_others)
    found: dict[bool, list[float]] = {True: [], False: []}
    for each in is_others:
        job_id = random.choice(others if each else unknown)
        path = route.format(job_id)
        status, took_ns = await in_process.timed(gate.app, path, headers)
        if status != 404:
            raise RuntimeError(f"{path} returned {status}")
        found[each].append(took_ns / 1_000)
    return Timing(route, np.array(found[True]), np.array(found[False]))


async def run(requests: int, routes: Sequence[str] = ROUTES) -> list[Timing]:
    """Measure all routes, and print a line for each."""
    timings = []
    async with in_process.server() as server, guarded(server) as gate:
        songs, analyses = fill(gate, "acme")
        for route in routes:
            ids = analyses if route.startswith(_ANALYSES) else songs
            timing = await measured(gate, route, ids, requests)
            low, high = timing.interval()
            p = mannwhitneyu(timing.others, timing.unknown).pvalue
            print(
                f"{route:22} another's {np.median(timing.others):7.1f} us, unknown "
                f"{np.median(timing.unknown):7.1f} us, difference "
                f"{timing.difference:+5.1f} us [{low:+.1f}, {high:+.1f}], "
                f"{timing.share:.2%}, p={p:.3f}",
                flush=True,
            )
            timings.append(timing)
    return timings


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and return 1 if a difference is too large."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=10_000, help="of each kind")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    timings = asyncio.run(run(options.requests))
    wrong = [timing.route for timing in timings if timing.is_telling]
    if options.check and wrong:
        print(f"the time tells another's job from none: {', '.join(wrong)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
