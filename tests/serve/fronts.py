"""What may stand between a browser and the service: real servers on this machine."""

import http.client
import json
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Self
from urllib.parse import urlsplit

# No name in the world ends so (RFC 6761): a URL with it leads nowhere.
INNER_HOST = "inner.invalid"
_TIMEOUT_SECONDS = 60
_CORS = {"Access-Control-Allow-Origin": "*"}
# Of one connection alone (RFC 9110, 7.6.1), or written anew here.
_HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length")

Answer = tuple[int, Mapping[str, str], bytes]


class Front:
    """A server that is reached as localhost, another origin than 127.0.0.1."""

    def __init__(self, port: int = 0) -> None:
        front = self

        class Handler(BaseHTTPRequestHandler):
            timeout = _TIMEOUT_SECONDS

            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                status, headers, body = front.answer(self, self.rfile.read(length))
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in _HOP_BY_HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_DELETE = do_OPTIONS = do_GET

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,))
        self.url = f"http://localhost:{self._server.server_port}"

    def answer(self, request: BaseHTTPRequestHandler, body: bytes) -> Answer:
        """Return the answer to a request."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Page(Front):
    """Serves one page, whatever is asked for, as single-page applications do."""

    def __init__(self, path: Path, port: int = 0) -> None:
        super().__init__(port)
        self._html = path.read_bytes()

    def answer(self, request: BaseHTTPRequestHandler, body: bytes) -> Answer:
        """Return the page."""
        return 200, {"Content-Type": "text/html"}, self._html


class Proxy(Front):
    """Passes all on to `upstream` under a host that nobody can reach.

    It says in X-Forwarded-* what it was asked for.
    """

    def __init__(self, upstream: str) -> None:
        super().__init__()
        self._upstream = upstream

    def answer(self, request: BaseHTTPRequestHandler, body: bytes) -> Answer:
        """Return what the service answers."""
        headers = {
            **dict(request.headers),
            "Host": INNER_HOST,
            "X-Forwarded-For": request.client_address[0],
            "X-Forwarded-Proto": "http",
            "X-Forwarded-Host": request.headers["Host"],
        }
        return _asked(self._upstream, request.command, request.path, headers, body)


class Gateway(Front):
    """Asks `upstream` for a few paths, and takes any status but 200 for a failure.

    It knows no `download_url`: what it gets it gives.
    """

    _PATHS = ("/config", "/analyze", "/separate", "/job/")

    def __init__(self, upstream: str) -> None:
        super().__init__()
        self._upstream = upstream

    def answer(self, request: BaseHTTPRequestHandler, body: bytes) -> Answer:
        """Return the JSON that the service answers, or 502."""
        if "/stems/" in request.path or not request.path.startswith(self._PATHS):
            return 404, _CORS, b"{}"
        kind = request.headers.get("Content-Type")
        headers = {"Content-Type": kind} if kind else {}
        status, _, found = _asked(
            self._upstream, request.command, request.path, headers, body
        )
        if status != 200:
            detail = json.dumps({"detail": f"upstream answered {status}"})
            return 502, _CORS, detail.encode()
        return 200, {**_CORS, "Content-Type": "application/json"}, found


def _asked(
    upstream: str, method: str, path: str, headers: Mapping[str, str], body: bytes
) -> Answer:
    base = urlsplit(upstream)
    connection = http.client.HTTPConnection(base.netloc, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request(method, f"{base.path}{path}", body or None, dict(headers))
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()
