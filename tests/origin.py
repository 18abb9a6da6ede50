"""A server that media comes from: it cuts, stalls and refuses, by a seed or as told."""

import hashlib
import random
import re
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread
from urllib.parse import urlsplit

from serve_app.outbound.client import CheckedNetwork, OutboundClient
from serve_app.outbound.urls import UrlRules

_CHUNK_BYTES = 65_536
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True)
class Trouble:
    """How often a request meets what; each is a share of all requests."""

    seed: int = 0
    cuts: float = 0.0
    stalls: float = 0.0
    errors: float = 0.0
    refusals: float = 0.0
    retry_after_seconds: int = 1


@dataclass
class Reply:
    """What a path gives: a body, or what is `told` in its place.

    `cut_after` are the sizes of the next bodies; None is a whole one. `pause_seconds`
    is the pause before each chunk of `chunk_bytes`.
    """

    body: bytes = b""
    status: int = 200
    etag: str | None = ""
    headers: dict[str, str] = field(default_factory=dict)
    has_length: bool = True
    has_ranges: bool = True
    ignores_if_range: bool = False
    ignores_end: bool = False
    cut_after: list[int | None] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    pause_seconds: float = 0.0
    chunk_bytes: int = _CHUNK_BYTES
    is_endless: bool = False

    def __post_init__(self) -> None:
        if self.etag == "":
            self.etag = f'"{hashlib.sha256(self.body).hexdigest()[:16]}"'


@dataclass
class Request:
    """A request that came, and how many bytes of a body it has got."""

    path: str
    headers: Mapping[str, str]
    sent_bytes: int = 0


class Origin:
    """Serves `replies` by path (queries are ignored); counts requests and bytes."""

    def __init__(self, trouble: Trouble | None = None, address: str = "") -> None:
        self.replies: dict[str, Reply] = {}
        self.requests: list[Request] = []
        self.stop = Event()
        self.most_at_once = 0
        self._at_once = 0
        self._trouble = trouble or Trouble()
        self._random = random.Random(self._trouble.seed)
        self._lock = Lock()
        self._server = _Server((address or "127.0.0.1", 0), _Handler)
        self._server.origin = self
        self.url = f"http://{address or '127.0.0.1'}:{self._server.server_port}"
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def add(self, path: str, body: bytes, **more: object) -> str:
        """Serve a body; return its URL."""
        self.replies[path] = Reply(body, **more)  # type: ignore[arg-type]
        return self.url + path

    def add_folder(self, folder: Path, prefix: str = "") -> None:
        """Serve the files of a folder, such as a playlist and its segments."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.add(f"{prefix}/{path.relative_to(folder)}", path.read_bytes())

    @property
    def sent_bytes(self) -> int:
        """The bytes of all bodies so far."""
        with self._lock:
            return sum(request.sent_bytes for request in self.requests)

    def sent_of(self, path: str) -> int:
        """The bytes that were sent of one path."""
        with self._lock:
            found = [each for each in self.requests if each.path == path]
        return sum(request.sent_bytes for request in found)

    def paths(self) -> list[str]:
        """The paths of the requests so far, in their order."""
        with self._lock:
            return [request.path for request in self.requests]

    def count(self, request: Request) -> None:
        """Record a request that begins."""
        with self._lock:
            self.requests.append(request)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)

    def end(self) -> None:
        """Record that a request has ended."""
        with self._lock:
            self._at_once -= 1

    def mishap(self) -> tuple[str, float]:
        """Draw what happens to the next request, and after which share of its body."""
        trouble = self._trouble
        with self._lock:
            drawn, share = self._random.random(), self._random.random()
        for name in ("cuts", "stalls", "errors", "refusals"):
            drawn -= getattr(trouble, name)
            if drawn < 0:
                return name, share
        return "", 1.0

    @property
    def retry_after_seconds(self) -> int:
        """What a refusal asks for."""
        return self._trouble.retry_after_seconds

    def close(self) -> None:
        """End the server, and what it holds back."""
        self.stop.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    origin: Origin

    def handle_error(self, *_: object) -> None:
        """Say nothing: a client may leave at any time."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        origin = self.server.origin
        path = urlsplit(self.path).path
        reply = origin.replies.get(path)
        mishap, share = origin.mishap()
        self.request_seen = Request(path, dict(self.headers.items()))
        origin.count(self.request_seen)
        status = 404 if reply is None else reply.status
        if reply is not None and reply.statuses:
            status = reply.statuses.pop(0)
        if mishap in ("errors", "refusals"):
            status = 500 if mishap == "errors" else 429
        try:
            if reply is None or status not in (200, 206):
                self._refuse(status, reply.headers if reply else {}, mishap)
            else:
                self._send(reply, mishap, share)
        finally:
            origin.end()

    def _refuse(self, status: int, headers: Mapping[str, str], mishap: str) -> None:
        self.send_response(status)
        if mishap == "refusals":
            self.send_header("Retry-After", str(self.server.origin.retry_after_seconds))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, reply: Reply, mishap: str, share: float) -> None:
        start, end = 0, len(reply.body)
        match = _RANGE.fullmatch(self.headers.get("Range", ""))
        asked = self.headers.get("If-Range")
        is_same = asked in (None, reply.etag) or reply.ignores_if_range
        is_partial = match is not None and reply.has_ranges and is_same
        if match is not None and is_partial:
            start = int(match[1])
            has_end = match[2] and not reply.ignores_end
            end = min(int(match[2]) + 1, end) if has_end else end
            if start >= len(reply.body):
                range_ = {"Content-Range": f"bytes */{len(reply.body)}"}
                self._refuse(416, range_, "")
                return
        self.send_response(206 if is_partial else 200)
        if is_partial:
            self.send_header(
                "Content-Range", f"bytes {start}-{end - 1}/{len(reply.body)}"
            )
        if reply.etag is not None:
            self.send_header("ETag", reply.etag)
        has_length = reply.has_length and "Content-Length" not in reply.headers
        if has_length and not reply.is_endless:
            self.send_header("Content-Length", str(end - start))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if not reply.has_length or reply.is_endless:
            self.send_header("Connection", "close")
        self.end_headers()
        self._send_body(reply, reply.body[start:end], mishap, share)

    def _send_body(self, reply: Reply, body: bytes, mishap: str, share: float) -> None:
        kept = reply.cut_after.pop(0) if reply.cut_after else None
        if mishap in ("cuts", "stalls"):
            kept = int(len(body) * share)
        whole, body = body, body if kept is None else body[:kept]
        with suppress(ConnectionError):
            while True:
                for start in range(0, len(body), reply.chunk_bytes):
                    if reply.pause_seconds:
                        self.server.origin.stop.wait(reply.pause_seconds)
                    chunk = body[start : start + reply.chunk_bytes]
                    self.wfile.write(chunk)
                    self.request_seen.sent_bytes += len(chunk)
                if not reply.is_endless or self.server.origin.stop.is_set():
                    break
            if mishap == "stalls":
                self._hold()
        if len(body) < len(whole) or not reply.has_length:
            self.close_connection = True

    def _hold(self) -> None:
        """Send nothing until the client leaves."""
        self.connection.settimeout(0.05)
        end = time.monotonic() + 60
        while time.monotonic() < end and not self.server.origin.stop.is_set():
            try:
                if not self.connection.recv(1, socket.MSG_PEEK):
                    return
            except TimeoutError:
                continue

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def client(*hosts: str, read_timeout_seconds: float = 30.0) -> OutboundClient:
    """Return a client that may reach this machine, and these hosts only if given."""
    rules = UrlRules(("http", "https"), hosts, has_private=True)
    network = CheckedNetwork(is_allowed=lambda _: True)
    return OutboundClient(
        rules, network, read_timeout_seconds=read_timeout_seconds, max_connections=32
    )
