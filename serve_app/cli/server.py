"""`stemserve serve`: start the server."""

import os
import sys
from pathlib import Path
from typing import NoReturn


def become(
    host: str, port: int, config: Path | None, metrics_port: int | None = None
) -> NoReturn:
    """Replace this process with the server, so that signals reach it directly."""
    # -P: do not import ray.py or deployments from the user's current directory.
    command = [sys.executable, "-P", "-m", "deployments"]
    command += ["--host", host, "--port", str(port)]
    if config is not None:
        command += ["--config", str(config)]
    if metrics_port is not None:
        command += ["--metrics-port", str(metrics_port)]
    sys.stdout.flush()
    os.execv(sys.executable, command)  # noqa: S606 - our own program
