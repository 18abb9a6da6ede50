"""A chaos run: the service with Postgres and S3, its jobs, and a monkey."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random

import numpy as np
import soundfile
from ray import serve
from sqlalchemy import Engine, create_engine

from deployments.app import build
from tests.databases import Postgres
from tests.s3 import Ceph, S3Server
from tests.serve.conftest import LEASE_SECONDS
from tests.serve.scaled import arguments
from tools.chaos import monkey
from tools.chaos.client import Client
from tools.chaos.judge import Judge, Plan, Verdict, execute
from tools.chaos.monkey import Attack
from tools.chaos.receiver import Receiver

_SECRET = "whsec_" + "c3RlbXNlcnZlIHVuZGVyIGZpcmUgc3RlbXNlcnZlISE="
_RATE = 44_100
_REPLICAS = {"Separator": 3, "DispatcherReplica": 2, "Api": 2}
_S3_PAUSE_SECONDS = 1.0

_CUT_CONNECTIONS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE application_name = 'stemserve' AND random() < 0.5
"""


def write_songs(folder: Path, number: int, seed: int) -> list[Path]:
    """Write short songs of tones and noise, all different."""
    noise = np.random.default_rng(seed)
    paths = []
    for index in range(number):
        seconds = 3.0 + index % 5
        time = np.arange(int(seconds * _RATE)) / _RATE
        tone = 0.2 * np.sin(2 * np.pi * (110.0 + 20 * index) * time)
        wave = tone[:, None] + 0.05 * noise.standard_normal((len(time), 2))
        paths.append(folder / f"song-{index}.wav")
        soundfile.write(paths[-1], wave, _RATE)
    return paths


@contextmanager
def service(database_url: str, bucket_url: str, data_dir: Path) -> Iterator[None]:
    """Run the application with several replicas of each deployment."""
    args = arguments(
        *(database_url, bucket_url, data_dir),
        separators=_REPLICAS["Separator"],
        max_queued_jobs=10_000,
        # Replicas die from attacks here, so a job must not fail for it.
        max_attempts=10,
        orphan_grace_seconds=20.0,
        webhook_secrets=_SECRET,
        allow_private_webhooks=True,
    )
    serve.run(build(args), name="stemserve", route_prefix="/")
    try:
        yield
    finally:
        serve.delete("stemserve")


def attacks(s3: S3Server, engine: Engine, client: Client) -> list[Attack]:
    """Return the attacks of the monkey.

    An S3 server that keeps its files in memory is not attacked.
    """

    def has_database() -> bool:
        return client.answers("/jobs?limit=1")

    def has_store() -> bool:
        return bool(s3.client().list_buckets()["Buckets"])

    def is_there() -> bool:
        return client.answers("/livez")

    def cut(_: Random) -> None:
        execute(engine, _CUT_CONNECTIONS)

    found = [monkey.replica(name, number) for name, number in _REPLICAS.items()]
    found.append(monkey.controller())
    pausable = ("Separator", "DispatcherReplica")
    found.append(monkey.pause(pausable, LEASE_SECONDS + 2, is_there))
    found.append(monkey.command("cut Postgres connections", cut, has_database))
    if isinstance(s3, Ceph):
        gateway = s3

        def restart(_: Random) -> None:
            gateway.restart(_S3_PAUSE_SECONDS)

        found.append(monkey.command("kill the S3 server", restart, has_store))
    return found


def run(
    plan: Plan, port: int, postgres: Postgres, s3: S3Server, folder: Path
) -> Verdict:
    """Run the test on the Serve at `port`, with its files in `folder`."""
    songs = write_songs(folder, plan.songs, plan.seed)
    with (
        postgres.new_database() as database_url,
        s3.new_bucket() as bucket,
        Receiver(_SECRET, plan.seed) as receiver,
    ):
        address = database_url.replace("postgresql:", "postgresql+psycopg:", 1)
        engine = create_engine(address, isolation_level="AUTOCOMMIT")
        place = f"s3://{bucket.name}/jobs?endpoint_url={s3.url}&region={bucket.region}"
        client = Client(f"http://127.0.0.1:{port}", receiver.url, plan.timeout_seconds)
        with closing(client), service(database_url, place, folder / "data"):
            harm = attacks(s3, engine, client)
            judge = Judge(plan, client, receiver, engine, s3, bucket.name, harm)
            verdict = judge.judge(songs)
        engine.dispose()
    return verdict
