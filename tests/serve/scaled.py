"""The application with a database and a file store that all nodes share."""

import os
from pathlib import Path
from typing import Any

from deployments.args import AppArgs
from serve_app.separation import allocator
from tests.serve.conftest import LEASE_SECONDS

CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")


def arguments(
    database_url: str, storage: str, data_dir: Path, separators: int, **settings: Any
) -> AppArgs:
    """Return arguments for two Apis, two Dispatchers and `separators` Separators.

    The credentials of the store are those of this process; `settings` are added.
    """
    env = {name: os.environ[name] for name in CREDENTIALS}
    tuned = {**env, allocator.VARIABLE: allocator.TUNABLES}
    two = {"num_replicas": 2, "env": env}
    return AppArgs.model_validate(
        {
            "settings": {
                "data_dir": data_dir,
                "model": "demo",
                "threads": 1,
                "lease_seconds": LEASE_SECONDS,
                "database_url": database_url,
                "storage": storage,
                **settings,
            },
            "api": two,
            "dispatcher": {**two, "max_ongoing_requests": 1000},
            "separator": {"num_replicas": separators, "env": tuned},
            "analyzer": {"env": env},
        }
    )
