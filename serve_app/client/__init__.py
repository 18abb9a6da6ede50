"""The service from the other side: songs sent, jobs waited for, stems fetched."""

from serve_app.client.client import Client
from serve_app.client.errors import JobFailed, Refused, ServerUnreachable
from serve_app.client.job import RemoteJob, RemoteStem, Ticket
from serve_app.client.retry import RetryPolicy

__all__ = [
    "Client",
    "JobFailed",
    "Refused",
    "RemoteJob",
    "RemoteStem",
    "RetryPolicy",
    "ServerUnreachable",
    "Ticket",
]
