"""A proxy in front of a server that holds a request, while a test does something."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import httpx

_LONGEST_SECONDS = 60.0
# Those that concern one connection, and not the message.
_OWN_HEADERS = {"connection", "transfer-encoding", "keep-alive"}
# Those of answers that are made anew.
_NOT_PASSED_ON = {*_OWN_HEADERS, "content-length", "content-encoding"}


@dataclass
class Point:
    """Where a request is held: at which method, and before or after it was done.

    `about` is in its path, or in what it asks of a service of AWS. `skip` such requests
    pass first. It goes on when it is released, or is dropped if `is_lost`.
    """

    method: str
    is_after: bool = False
    skip: int = 0
    about: str = ""
    is_lost: bool = False
    reached: Event = field(default_factory=Event)
    released: Event = field(default_factory=Event)

    def hold(self) -> None:
        """Wait until the test goes on."""
        self.reached.set()
        self.released.wait(_LONGEST_SECONDS)


class HoldingProxy:
    """Passes requests on to the server at `target`; holds one at the current point."""

    def __init__(self, target: str) -> None:
        self._point: Point | None = None
        self._client = httpx.Client(base_url=target, timeout=_LONGEST_SECONDS)
        client, take = self._client, self._take

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass_on(self) -> None:
                length = int(self.headers.get("content-length", 0))
                body = self.rfile.read(length)
                target = self.headers.get("x-amz-target", "")
                point = take(self.command, f"{self.path} {target}")
                if point is not None and not point.is_after:
                    point.hold()
                    if point.is_lost:
                        self.close_connection = True
                        return
                headers = [
                    (name, value)
                    for name, value in self.headers.items()
                    if name.lower() not in _OWN_HEADERS
                ]
                answer = client.request(
                    self.command, self.path, headers=headers, content=body
                )
                if point is not None and point.is_after:
                    point.hold()
                self._answer(answer)

            def _answer(self, answer: httpx.Response) -> None:
                content = answer.content
                self.send_response(answer.status_code)
                for name, value in answer.headers.items():
                    if name not in (
                        *_OWN_HEADERS,
                        "content-length",
                        "content-encoding",
                    ):
                        self.send_header(name, value)
                length = answer.headers.get("content-length", str(len(content)))
                self.send_header("content-length", length)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on

            def log_message(self, *_: Any) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._server.server_close()
        self._client.close()

    @contextmanager
    def holding(self, point: Point) -> Iterator[Callable[[], bool]]:
        """Hold the next request at a point; yield whether one has come there."""
        self._point = point
        try:
            yield point.reached.is_set
        finally:
            self._point = None
            point.released.set()

    def _take(self, method: str, about: str) -> Point | None:
        point = self._point
        if point is None or point.method != method or point.about not in about:
            return None
        if point.skip:
            point.skip -= 1
            return None
        self._point = None
        return point
