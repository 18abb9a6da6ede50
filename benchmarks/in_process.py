"""The application in this process, without a network, for measurements of requests.

Its routes, its door and its SQLite database are those of a server; songs are neither
separated nor analysed.
"""

import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Run from anywhere, installed or not.

from starlette.types import ASGIApp, Message, Scope  # noqa: E402

from serve_app.database import Database  # noqa: E402
from tests.unit.server import Server, running  # noqa: E402


@asynccontextmanager
async def server() -> AsyncIterator[Server]:
    """Run a server whose files are deleted at the end."""
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        with Database(f"sqlite:///{directory / 'jobs.sqlite3'}") as database:
            async with running(directory, database) as server:
                yield server


async def timed(app: ASGIApp, path: str, headers: Mapping[str, str]) -> tuple[int, int]:
    """Send a GET; return its status and how long it took, in nanoseconds."""
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [
            (b"host", b"server"),
            *((name.lower().encode(), text.encode()) for name, text in headers.items()),
        ],
        "client": ("127.0.0.1", 5_000),
        "server": ("127.0.0.1", 8_000),
    }
    status = 0

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)

    began = time.perf_counter_ns()
    await app(scope, receive, send)
    return status, time.perf_counter_ns() - began
