"""The application on the cluster that the tests share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ray import serve

from deployments.app import build
from deployments.args import AppArgs
from tests.serve.service import Service

_NAME = "stemserve"


@contextmanager
def running(port: int, args: AppArgs, data_dir: Path) -> Iterator[Service]:
    """Run the application until the block ends; `port` is that of the HTTP proxy."""
    serve.run(build(args), name=_NAME, route_prefix="/")
    try:
        yield Service(f"http://127.0.0.1:{port}", data_dir)
    finally:
        serve.delete(_NAME)


@contextmanager
def running_demo(port: int, data_dir: Path, **settings: Any) -> Iterator[Service]:
    """Run the application with the bundled model, one thread, and these settings."""
    demo = {"data_dir": data_dir, "model": "demo", "threads": 1}
    with running(port, AppArgs(settings={**demo, **settings}), data_dir) as service:
        yield service
