"""A webhook endpoint that fails at random."""

import base64
import hashlib
import hmac
import json
import threading
from collections import Counter, defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from types import TracebackType
from typing import Self

# The limit on failures of a delivery: the later retries have delays of hours.
_MOST_CUTS = 2
_CUT_SHARE = 0.3
_ACCEPTED, _FAILED, _FORGED = 204, 500, 401


class Receiver:
    """Receives webhooks on its own port, and fails many of them while `is_cutting`.

    It listens on the address `host`. `taken` has the ids of the webhooks that got a
    success status, by job.
    """

    def __init__(self, secret: str, seed: int, host: str = "127.0.0.1") -> None:
        self.taken: defaultdict[str, list[str]] = defaultdict(list)
        self.cuts: Counter[str] = Counter()
        self.forged = 0
        self.is_cutting = True
        self._key = base64.b64decode(secret.removeprefix("whsec_"))
        self._random = Random(seed)
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer((host, 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def url(self) -> str:
        """The URL of the endpoint."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}/hook"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver.take(dict(self.headers.items()), body)
                if status is None:
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler

    def take(self, headers: dict[str, str], body: bytes) -> int | None:
        """Return the status of the response, or None to disconnect without one."""
        found = {name.lower(): value for name, value in headers.items()}
        identity = found["webhook-id"]
        signed = f"{identity}.{found['webhook-timestamp']}.".encode() + body
        digest = hmac.digest(self._key, signed, hashlib.sha256)
        expected = f"v1,{base64.b64encode(digest).decode()}"
        with self._lock:
            if expected not in found["webhook-signature"].split():
                self.forged += 1
                return _FORGED
            if self._is_cut(identity):
                self.cuts[identity] += 1
                return self._random.choice([None, _FAILED])
            self.taken[json.loads(body)["data"]["job_id"]].append(identity)
            return _ACCEPTED

    def _is_cut(self, identity: str) -> bool:
        is_due = self.is_cutting and self.cuts[identity] < _MOST_CUTS
        return is_due and self._random.random() < _CUT_SHARE
