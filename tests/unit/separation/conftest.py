"""An HTTP server with interruptible downloads, and small models."""

import http.server
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest


@dataclass
class FileServer:
    """A server's files, its faults, and the requests it got.

    The first `cuts` responses end after half of their announced length; ranges begin
    `shift` bytes after the requested position.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    tag: str | None = '"v1"'
    cuts: int = 0
    shift: int = 0
    status: int | None = None
    silent: threading.Event | None = None
    asked_ranges: list[str | None] = field(default_factory=list)


def _handler(server: FileServer) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked_ranges.append(self.headers.get("Range"))
            if server.silent is not None:
                server.silent.wait(10)
                return
            body = server.files.get(self.path.lstrip("/"))
            if body is None or server.status is not None:
                self.send_error(server.status or 404)
                return
            self._send(body)

        def _send(self, body: bytes) -> None:
            start = self._resumed_at()
            if start >= len(body) > 0:
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                span = f"bytes {start}-{len(body) - 1}/{len(body)}"
                self.send_header("Content-Range", span)
            if server.tag is not None:
                self.send_header("ETag", server.tag)
            rest = body[start:]
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            if server.cuts > 0:
                server.cuts -= 1
                rest = rest[: len(rest) // 2]
            self.wfile.write(rest)

        def _resumed_at(self) -> int:
            match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            if match is None or self.headers.get("If-Range") != server.tag:
                return 0
            return int(match.group(1)) + server.shift

        def log_message(self, format: str, *args: object) -> None:
            return

    return Handler


@pytest.fixture
def file_server() -> Iterator[FileServer]:
    server = FileServer()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(server)) as httpd:
        server.url = f"http://127.0.0.1:{httpd.server_port}"
        thread = threading.Thread(target=httpd.serve_forever, args=(0.02,))
        thread.start()
        yield server
        if server.silent is not None:
            server.silent.set()
        httpd.shutdown()
        thread.join()
