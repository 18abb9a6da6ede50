"""Separate servers, beside the cluster that the tests share."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.ports import free_port
from tests.serve.conftest import LEASE_SECONDS
from tests.serve.polling import ORIGIN
from tests.serve.service import Service


@contextmanager
def own_server(
    data_dir: Path,
    log: Path,
    port: int | None = None,
    host: str = "127.0.0.1",
    tree: Path | None = None,
    settings: Mapping[str, str] = {},
) -> Iterator[tuple[Service, psutil.Process]]:
    """Run `python -m deployments` with its own Ray, as `make serve` does.

    `tree` is another source tree to run; `settings` are added to the environment.
    """
    port = port or free_port()
    environment = {
        **os.environ,
        "STEMSERVE_DATA_DIR": str(data_dir),
        "STEMSERVE_MODEL": "demo",
        "STEMSERVE_THREADS": "1",
        "STEMSERVE_LEASE_SECONDS": str(LEASE_SECONDS),
        "STEMSERVE_ORPHAN_GRACE_SECONDS": "5",
        "STEMSERVE_CORS_ORIGINS": ORIGIN,
        **settings,
    }
    if tree is not None:
        environment["PYTHONPATH"] = str(tree)
    # The server must not connect to the cluster of the test session.
    environment.pop("RAY_ADDRESS", None)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "deployments"),
                *("--host", host, "--port", str(port)),
            ],
            env=environment,
            cwd=tree,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
        service = Service(f"http://127.0.0.1:{port}", data_dir)
        try:
            wait_ready(service, process, log)
            yield service, psutil.Process(process.pid)
        finally:
            is_alive = process.poll() is None
            if is_alive:
                process.send_signal(signal.SIGINT)
            status = process.wait(60)
        assert status == 0 or not is_alive, log.read_text()


def wait_ready(service: Service, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + 180
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        if service.is_ready():
            return
        time.sleep(0.3)
    raise AssertionError(log.read_text())
