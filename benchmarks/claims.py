"""Claims per second on Postgres, with short and long queues.

    python benchmarks/claims.py [--claimers 8] [--queued 10000 100000] [--rounds 5]

A temporary Postgres is started, unless `--database-url` names a database: its jobs are
deleted. The queue lengths alternate. Each claimer is a process, like a dispatcher; a
claim is one transaction, synced to disk.
"""

import argparse
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from uuid import uuid4

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Run from anywhere, installed or not.

from sqlalchemy import insert, text  # noqa: E402

from serve_app.database import Database  # noqa: E402
from serve_app.database.engine import connect  # noqa: E402
from serve_app.jobs.job import Job, State  # noqa: E402
from serve_app.jobs.store import JobStore  # noqa: E402
from serve_app.jobs.table import queue, to_row  # noqa: E402
from serve_app.stems.kind import separation  # noqa: E402
from serve_app.stems.request import (  # noqa: E402
    Options,
    SeparationJob,
    SeparationRequest,
    Source,
)

_KIND = separation()
_ROWS_AT_ONCE = 5_000
_TIMEOUT_SECONDS = 120


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def job(number: int) -> SeparationJob:
    """Return a queued job; higher numbers are younger."""
    job_id, at = uuid4().hex, now() - timedelta(days=1) + timedelta(seconds=number)
    source = Source(
        "song.mp3", f"originals/{job_id}", 4 << 20, "ab" * 32, 44_100, 2, 9**7, 0.0, 0.2
    )
    stems = ("drums", "bass", "other", "vocals")
    options = Options("hdemucs_high_musdb_plus", stems, "wav")
    return Job(
        job_id,
        SeparationRequest(source, options),
        State.QUEUED,
        created_at=at,
        updated_at=at,
        cost_seconds=source.duration_seconds,
    )


def fill(url: str, queued: int) -> None:
    """Replace all jobs by `queued` queued ones."""
    engine = connect(url)
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE queue"))
        for start in range(0, queued, _ROWS_AT_ONCE):
            stop = min(queued, start + _ROWS_AT_ONCE)
            rows = [to_row(_KIND, job(number)) for number in range(start, stop)]
            connection.execute(insert(queue), rows)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE queue"))
    engine.dispose()


def claim(
    url: str, claims: int, most: int, barrier: Barrier, ended: "Queue[float]"
) -> None:
    """Claim `claims` jobs, `most` at a time, and send the time of the end.

    Starts when all claimers are ready.
    """
    database = Database(url)
    store = JobStore(database, now, _KIND)
    owner = uuid4().hex
    store.counts()
    barrier.wait()
    left = claims
    while left:
        found = store.claim(
            owner,
            lease_seconds=600,
            include_alone=False,
            most=min(left, most),
        )
        if not found:
            raise RuntimeError(f"the queue is empty, with {left} claims left")
        left -= len(found)
    # `monotonic` is the same clock in all processes of the machine.
    ended.put(time.monotonic())
    database.close()


def claims_per_second(
    url: str, queued: int, claimers: int, claims: int, most: int
) -> float:
    """Return the rate at which all claimers together claim `claims` jobs."""
    fill(url, queued)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(claimers + 1)
    each = claims // claimers
    ended: Queue[float] = context.Queue()
    running = [
        context.Process(target=claim, args=(url, each, most, barrier, ended))
        for _ in range(claimers)
    ]
    for process in running:
        process.start()
    barrier.wait()
    began = time.monotonic()
    last = max(ended.get(timeout=_TIMEOUT_SECONDS) for _ in running)
    for process in running:
        process.join()
    return each * claimers / (last - began)


@contextmanager
def database(url: str | None) -> Iterator[str]:
    """Yield the address of the database to use."""
    if url is not None:
        yield url
        return
    from tests.databases import Postgres

    with tempfile.TemporaryDirectory() as place:
        server = Postgres(Path(place) / "data")
        try:
            with server.new_database() as made:
                yield made
        finally:
            server.close()


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--claimers", type=int, default=8)
    parser.add_argument("--claims", type=int, default=9_600, help="in each round")
    parser.add_argument("--most", type=int, default=6, help="jobs in one claim")
    parser.add_argument("--queued", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--database-url")
    options = parser.parse_args(arguments)
    rates: dict[int, list[float]] = {queued: [] for queued in options.queued}
    with database(options.database_url) as url:
        Database(url).close()
        for _ in range(options.rounds):
            for queued in options.queued:
                given = (url, queued, options.claimers, options.claims, options.most)
                rates[queued].append(claims_per_second(*given))
                print(f"{queued:8} queued: {rates[queued][-1]:6.0f} /s", flush=True)
    medians = {queued: statistics.median(each) for queued, each in rates.items()}
    for queued, rate in medians.items():
        print(f"median with {queued} queued: {rate:.0f} claims/s")
    first, last = min(medians), max(medians)
    print(f"{last} over {first}: {medians[last] / medians[first]:.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
