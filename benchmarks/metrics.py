"""The time of a scrape with many jobs, and the cost of one count.

    python benchmarks/metrics.py [--jobs 100000] [--rounds 20] [--check]

The values of `GET /metrics` are read from SQLite and from a temporary Postgres, with
jobs in all states and reports of the usual size. A count is one of a replica of Serve.
`--check` fails if a median scrape takes more than 500 ms, or a count more than 50 us.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import ray
from ray import serve
from sqlalchemy import insert, text

from deployments.ray_meter import RayMeter
from serve_app.database import Database
from serve_app.jobs.job import State
from serve_app.jobs.table import queue, to_row
from serve_app.stems.kind import separation
from serve_app.telemetry import catalogue
from serve_app.telemetry.exposition import Service, rendered
from serve_app.telemetry.scrape import Facts
from serve_app.telemetry.store import TelemetryStore
from tests.databases import Postgres
from tests.jobs import RESULT, new_job

_ROWS_AT_ONCE = 5_000
_COUNTS = 20_000
_MOST_SCRAPE_MS = 500.0
_MOST_COUNT_US = 50.0
_KIND = separation()
_SERVICE = Service("1", {_KIND.name: "stems"})
# Of a hundred jobs: most have ended, as with a retention of days.
_STATES = (
    *([State.QUEUED] * 10 + [State.RUNNING] * 2 + [State.FAILED] * 8),
    *([State.CANCELLED] * 5 + [State.SUCCEEDED] * 75),
)
# The beats of three minutes, as most of the bytes of a report.
_REPORT = {"beats": [round(number * 0.46875, 4) for number in range(384)]}
_CODES = ("file_lost", "replica_died", "unreadable_audio")


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def row(number: int) -> dict[str, Any]:
    """Return the columns of a job in one of all states."""
    state, at = _STATES[number % len(_STATES)], now() - timedelta(seconds=number / 10)
    job = new_job(uuid4().hex, state=state, created_at=at, updated_at=at)
    job = job.evolve(audio_seconds=180.0, stored_bytes=4_000_000)
    if state is State.SUCCEEDED:
        job = job.evolve(result=RESULT)
    if state is State.FAILED:
        job = job.evolve(error_code=_CODES[number % len(_CODES)], error="It failed.")
    if state is State.RUNNING:
        until = now() + timedelta(seconds=30)
        job = job.evolve(owner="me", attempt=1, lease_expires_at=until)
    if state.is_final:
        job = job.evolve(expires_at=now() + timedelta(days=1))
    columns = to_row(_KIND, job)
    if state is State.SUCCEEDED:
        columns["result"] = {**columns["result"], "analysis": _REPORT}
    return columns


def fill(database: Database, jobs: int) -> None:
    """Add that many jobs."""
    for start in range(0, jobs, _ROWS_AT_ONCE):
        rows = [
            row(number) for number in range(start, min(jobs, start + _ROWS_AT_ONCE))
        ]
        with database.writing() as connection:
            connection.execute(insert(queue), rows)
    with database.statement() as connection:
        connection.execute(text("ANALYZE queue"))


@contextmanager
def databases() -> Iterator[dict[str, str]]:
    """Yield the URLs of an empty SQLite file and an empty Postgres database."""
    with tempfile.TemporaryDirectory() as place:
        server = Postgres(Path(place) / "data")
        try:
            with server.new_database() as url:
                yield {"SQLite": f"sqlite:///{place}/jobs.sqlite3", "Postgres": url}
        finally:
            server.close()


def scrape_ms(database: Database, rounds: int) -> float:
    """Return the median time to read and write all values."""
    store, times_ms = TelemetryStore(database, now), []
    for _ in range(rounds):
        began = time.perf_counter()
        rendered(Facts(store.facts(), True, {}), _SERVICE, "")
        times_ms.append((time.perf_counter() - began) * 1000)
    return statistics.median(times_ms)


@serve.deployment
class Counting:
    """A replica that counts."""

    def __call__(self) -> float:
        """Return the time of one count, in microseconds."""
        meter, labels = RayMeter(), {"route": "/jobs", "method": "GET", "status": "2xx"}
        meter.count(catalogue.HTTP_REQUESTS, **labels)
        began = time.perf_counter()
        for _ in range(_COUNTS):
            meter.count(catalogue.HTTP_REQUESTS, **labels)
        return (time.perf_counter() - began) / _COUNTS * 1e6


def count_us() -> float:
    """Return the time of one count in a replica, in microseconds."""
    os.environ["RAY_AUTH_MODE"] = "disabled"
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        handle = serve.run(Counting.bind(), route_prefix=None)
        return float(handle.remote().result())
    finally:
        serve.shutdown()
        ray.shutdown()


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and return 1 if something takes too long."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    scrapes_ms = []
    with databases() as urls:
        for name, url in urls.items():
            with Database(url) as database:
                fill(database, options.jobs)
                scrapes_ms.append(scrape_ms(database, options.rounds))
            print(f"scrape of {options.jobs} jobs in {name}: {scrapes_ms[-1]:.1f} ms")
    each_us = count_us()
    print(f"one count: {each_us:.1f} us")
    is_slow = max(scrapes_ms) > _MOST_SCRAPE_MS or each_us > _MOST_COUNT_US
    return int(options.check and is_slow)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
