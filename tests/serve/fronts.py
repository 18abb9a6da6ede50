"""Proxies between a browser and the service: real servers on this machine."""

import http.client
import json
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Self
from urllib.parse import urlsplit

# `.invalid` names are never resolved (RFC 6761).
INNER_HOST = "inner.invalid"
_TIMEOUT_SECONDS = 60
_CORS = {"Access-Control-Allow-Origin": "*"}
# Headers of one connection (RFC 9110, 7.6.1), and one that is set again here.
_HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length")

Response = tuple[int, Mapping[str, str], bytes]


class Front:
    """A server at the host localhost, which is another origin than 127.0.0.1."""

    def __init__(self, port: int = 0) -> None:
        front = self

        class Handler(BaseHTTPRequestHandler):
            timeout = _TIMEOUT_SECONDS

            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                status, headers, body = front.respond(self, self.rfile.read(length))
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

    def respond(self, request: BaseHTTPRequestHandler, body: bytes) -> Response:
        """Return the response to a request."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Page(Front):
    """Serves one page at every path, like a single-page application."""

    def __init__(self, path: Path, port: int = 0) -> None:
        super().__init__(port)
        self._html = path.read_bytes()

    def respond(self, request: BaseHTTPRequestHandler, body: bytes) -> Response:
        """Return the page."""
        return 200, {"Content-Type": "text/html"}, self._html


class Proxy(Front):
    """Forwards requests to `upstream` with an unresolvable Host.

    X-Forwarded-* have the original client, scheme and host.
    """

    def __init__(self, upstream: str) -> None:
        super().__init__()
        self._upstream = upstream

    def respond(self, request: BaseHTTPRequestHandler, body: bytes) -> Response:
        """Return the response of the service."""
        headers = {
            **dict(request.headers),
            "Host": INNER_HOST,
            "X-Forwarded-For": request.client_address[0],
            "X-Forwarded-Proto": "http",
            "X-Forwarded-Host": request.headers["Host"],
        }
        return _forwarded(self._upstream, request.command, request.path, headers, body)


class Gateway(Front):
    """Forwards a few paths to `upstream`; any status but 200 is a failure.

    It returns the bodies, with their `download_url`, unchanged.
    """

    _PATHS = ("/config", "/analyze", "/separate", "/job/")

    def __init__(self, upstream: str) -> None:
        super().__init__()
        self._upstream = upstream

    def respond(self, request: BaseHTTPRequestHandler, body: bytes) -> Response:
        """Return the JSON of the service's response, or 502."""
        if "/stems/" in request.path or not request.path.startswith(self._PATHS):
            return 404, _CORS, b"{}"
        kind = request.headers.get("Content-Type")
        headers = {"Content-Type": kind} if kind else {}
        status, _, found = _forwarded(
            self._upstream, request.command, request.path, headers, body
        )
        if status != 200:
            detail = json.dumps({"detail": f"upstream responded {status}"})
            return 502, _CORS, detail.encode()
        return 200, {**_CORS, "Content-Type": "application/json"}, found


def _forwarded(
    upstream: str, method: str, path: str, headers: Mapping[str, str], body: bytes
) -> Response:
    base = urlsplit(upstream)
    connection = http.client.HTTPConnection(base.netloc, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request(method, f"{base.path}{path}", body or None, dict(headers))
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()
