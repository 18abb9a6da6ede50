"""The server, which is another program."""

import os
import sys
from pathlib import Path
from typing import NoReturn


def become(host: str, port: int, config: Path | None) -> NoReturn:
    """Replace this process by the server: signals reach it, and no parent stays."""
    # -P: a file of the user's called ray.py or deployments must not be taken for ours.
    command = [sys.executable, "-P", "-m", "deployments"]
    command += ["--host", host, "--port", str(port)]
    if config is not None:
        command += ["--config", str(config)]
    sys.stdout.flush()
    os.execv(sys.executable, command)  # noqa: S606 - our own program
