"""Hit the service while it works, and see whether it keeps its promises.

    python -m tools.chaos [--jobs 200] [--seed 1]

Two Apis, two Dispatchers and three Separators serve jobs over Postgres and S3, all on
this machine, while a monkey kills or pauses one of them, the controller of Serve,
Postgres connections or the S3 server every 2 to 5 seconds, and webhooks are cut. Ends
with 1 when a job was lost, ended twice, has other stems than in a calm run, or left
anything behind, or when its owner was not told.
"""

import argparse
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import ray
from ray import serve

from deployments import gate, python_path
from tests import s3
from tests.databases import Postgres
from tools.chaos.judge import Plan
from tools.chaos.run import run


@contextmanager
def cluster() -> Iterator[int]:
    """Start Ray and Serve; yield the port of the HTTP proxy."""
    os.environ["RAY_AUTH_MODE"] = "disabled"
    os.environ[gate.VARIABLE] = gate.IMPORT_PATH
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    # Ray keeps an idle worker for each: these would take the cores from the service.
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env=python_path.runtime_env(),
    )
    # After Ray's own: nothing that was started is to stay when this is ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        serve.start(
            http_options={"host": "127.0.0.1", "port": port},
            logging_config={"enable_access_log": False},
        )
        yield port
        serve.shutdown()
    finally:
        ray.shutdown()


def main(arguments: Sequence[str]) -> int:
    """Do a run and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--songs", type=int, default=10, help="different ones")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    print(f"S3 is {s3.choice()}; seed {options.seed}", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        postgres, store = Postgres(folder / "postgres"), s3.start(folder / "s3")
        try:
            with cluster() as port:
                plan = Plan(options.jobs, options.songs, options.seed)
                verdict = run(plan, port, postgres, store, folder)
        finally:
            store.close()
            postgres.close()
    print(f"{options.jobs} jobs in {time.monotonic() - began:.0f} s")
    for line in verdict.lines():
        print(line)
    return 1 if verdict.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
