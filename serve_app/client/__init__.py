"""Client for a stemserve server: send songs, wait for jobs, download stems.

The names in `__all__` are the public API; docs/client.md documents them. Other names
may change.
"""

from serve_app.client.analysis import Analysis
from serve_app.client.client import DEFAULT_URL, Client
from serve_app.client.errors import (
    JobFailed,
    Refused,
    ServerUnreachable,
    WaitTimedOut,
)
from serve_app.client.job import RemoteJob, RemoteStem, Ticket
from serve_app.client.retry import RetryPolicy
from serve_app.errors import AppError, Cancelled, InvalidInput

__all__ = [
    "DEFAULT_URL",
    "Analysis",
    "AppError",
    "Cancelled",
    "Client",
    "InvalidInput",
    "JobFailed",
    "Refused",
    "RemoteJob",
    "RemoteStem",
    "RetryPolicy",
    "ServerUnreachable",
    "Ticket",
    "WaitTimedOut",
]
