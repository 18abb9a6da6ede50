"""Break parts of the service while it runs jobs, and check the results.

    python -m tools.chaos [--jobs 200] [--seed 1]

Two Apis, two Dispatchers and three Separators run jobs with Postgres and S3, all on
this machine. Every 2 to 5 seconds a monkey kills or pauses one of them, the controller
of Serve, Postgres connections or the S3 server. Webhook deliveries fail at random. The
exit status is 1 if a job is lost, ends twice, has other stems than without failures or
leaves files or rows behind, or if its webhook is not delivered.
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
from typing import Any

import ray
from ray import serve

from deployments import gate, python_path
from tests import s3
from tests.databases import Postgres
from tools.chaos.judge import Plan
from tools.chaos.run import run


@contextmanager
def cluster(**options: Any) -> Iterator[int]:
    """Start Ray, with more options of `ray.init`, and Serve; yield the HTTP port."""
    os.environ["RAY_AUTH_MODE"] = "disabled"
    os.environ[gate.VARIABLE] = gate.IMPORT_PATH
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    # Ray keeps an idle worker per CPU, and these would use the cores of the service.
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env=python_path.runtime_env(),
        **options,
    )
    # Replaces Ray's handler, so that SIGTERM also stops all started processes.
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
    """Run the test and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=200, help="number of jobs")
    parser.add_argument(
        "--songs", type=int, default=10, help="number of different songs"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the failures")
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
