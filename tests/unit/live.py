"""The application on a port of this machine, with jobs that are done at once."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import uvicorn
from starlette.types import ASGIApp

from serve_app.jobs.job import State
from tests.unit.server import Server


@contextmanager
def serving(app: ASGIApp, root_path: str = "") -> Iterator[str]:
    """Serve `app` until the block ends; yield its address."""
    config = uvicorn.Config(app, ws="none", log_config=None, root_path=root_path)
    http = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = Thread(target=http.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not http.started:
                assert thread.is_alive(), "the server ended before it had started"
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            http.should_exit = True
            thread.join()


@contextmanager
def separating(server: Server) -> Iterator[None]:
    """Let each job succeed in its turn, until the block ends."""
    stop = Event()

    def work() -> None:
        while not stop.wait(0.05):
            if server.store.counts().get(State.QUEUED):
                (job,) = server.store.listed("", 1)
                server.succeed(
                    {name: name.encode() for name in job.request.options.stems}
                )
            if server.analyses.counts().get(State.QUEUED):
                server.analyze()

    thread = Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
