"""A real HTTP server on this machine with scripted responses."""

import hashlib
import json
import re
import socket
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self


@dataclass(frozen=True)
class Answer:
    """A response; with `cut_after`, the connection is closed after that many bytes."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int | None = None


@dataclass(frozen=True)
class Request:
    """A received request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Stem:
    """A file that supports ranges; its first responses are cut."""

    content: bytes
    cuts: list[int] = field(default_factory=list)
    takes_ranges: bool = True

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    def answer(self, request: Request) -> Answer:
        etag = f'"{self.sha256}"'
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        is_same = request.headers.get("If-Range", etag) == etag
        start = int(asked[1]) if asked and is_same and self.takes_ranges else 0
        headers = {"ETag": etag, "Content-Type": "audio/wav"}
        if start:
            last, size = len(self.content) - 1, len(self.content)
            headers["Content-Range"] = f"bytes {start}-{last}/{size}"
        cut = self.cuts.pop(0) if self.cuts else None
        return Answer(206 if start else 200, self.content[start:], headers, cut)


@dataclass
class Events:
    """The changes of a job as server-sent events; its first responses are cut.

    Each state is the id of its event too. A response whose number is in `ends` ends
    completely, but after as many events.
    """

    states: Sequence[Mapping[str, Any]]
    cuts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    retry_ms: int | None = None

    def answer(self, request: Request) -> Answer:
        seen = int(request.headers.get("Last-Event-ID", -1))
        if seen == len(self.states) - 1:
            return Answer(204, b"")
        # The state that the client knows is not repeated.
        shown = [self.event(number) for number in range(len(self.states))][seen + 1 :]
        end = self.ends.pop(0) if self.ends else len(shown)
        hint = b"" if self.retry_ms is None else b"retry: %d\n\n" % self.retry_ms
        body = b": ping\n\n" + hint + b"".join(shown[:end])
        cut = self.cuts.pop(0) if self.cuts else None
        return Answer(200, body, {"Content-Type": "text/event-stream"}, cut)

    def event(self, number: int) -> bytes:
        return f"data: {json.dumps(self.states[number])}\nid: {number}\n\n".encode()


Scripted = Answer | Stem | Events | Callable[[Request], Answer]


def json_answer(value: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(status, json.dumps(value).encode(), headers)


def problem(status: int, detail: str, **headers: str) -> Answer:
    return json_answer({"detail": detail, "status": status}, status, **headers)


class Service:
    """The server. Sends a path's responses in order, then repeats the last one."""

    def __init__(self, port: int = 0) -> None:
        self.requests: list[Request] = []
        self._answers: dict[tuple[str, str], list[Scripted]] = defaultdict(list)
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = False
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the server; further connections are refused."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def on(self, method: str, path: str, *answers: Scripted) -> None:
        self._answers[method, path].extend(answers)

    def asked(self, method: str, path: str) -> list[Request]:
        return [
            request
            for request in self.requests
            if request.method == method
            and path in (request.path, request.path.partition("?")[0])
        ]

    def complete(self, stems: Mapping[str, Stem], **more: Any) -> None:
        """Accept any song as the job j1, which is completed at once with `stems`."""
        self.on("POST", "/separate", json_answer({"success": True, "job_id": "j1"}))
        listed = {
            name: {
                "filename": f"song_{name}.wav",
                "size": len(stem.content),
                "sha256": stem.sha256,
                "download_url": f"/job/j1/stems/{name}",
            }
            for name, stem in stems.items()
        }
        job = {"job_id": "j1", "status": "completed", "progress": 100.0, **more}
        self.on("GET", "/job/j1", json_answer({**job, "stems": listed}))
        for name, stem in stems.items():
            self.on("GET", f"/job/j1/stems/{name}", stem)

    def answer(self, request: Request) -> Answer:
        self.requests.append(request)
        path, _, _ = request.path.partition("?")
        # A presigned URL needs its query.
        left = self._answers[request.method, request.path]
        left = left or self._answers[request.method, path]
        if not left:
            return problem(404, "There is no such thing here.")
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Stem | Events):
            return answer.answer(request)
        return answer if isinstance(answer, Answer) else answer(request)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 5

            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length)
                request = Request(self.command, self.path, dict(self.headers), body)
                self._send(service.answer(request))

            do_POST = do_DELETE = do_GET

            def _send(self, answer: Answer) -> None:
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(answer.body)))
                # Don't wait for a client's next request at the end of a test.
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(answer.body[: answer.cut_after])
                self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler


def closed_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
