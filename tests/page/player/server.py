"""A small server: the page's files, and jobs that the tests make."""

import json
import mimetypes
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from serve_app.analysis import waveform_forms
from serve_app.audio.wave import FLOAT32
from serve_app.page.bundle import ASSETS
from serve_app.page.policy import content_security_policy
from tests.page.player.fake_jobs import Content, FakeJob

HARNESS = Path(__file__).parent / "harness"
POLICY = content_security_policy()
PLAYBACK = ("wav32f", '"playback-wav32f"')
# What a stream of a running job sends at once.
_PIECE_BYTES = 32_768


class Server(ThreadingHTTPServer):
    """Serves `jobs` by id, until the block of `serving` ends."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.jobs: dict[str, FakeJob] = {}
        # Each request's path and its Range.
        self.requests: list[tuple[str, str | None]] = []
        # Statuses of the next responses for stems, instead of their bytes.
        self.failures: list[int] = []
        # Time that passes before each response for a stem.
        self.delay_seconds = 0.0

    @property
    def url(self) -> str:
        """The address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def add(self, job: FakeJob) -> str:
        """Serve a job; return its id."""
        self.jobs[job.view["job_id"]] = job
        return str(job.view["job_id"])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: browsers end connections whenever they like."""


@contextmanager
def serving() -> Iterator[Server]:
    """Serve on a free port until the block ends."""
    with Server() as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server
    _ROUTES: ClassVar = (
        (re.compile(r"/page/(.+)"), "_file"),
        (re.compile(r"/job/(\w+)"), "_job"),
        (re.compile(r"/job/(\w+)/stems/(\w+)"), "_stem"),
        (re.compile(r"/job/(\w+)/waveform"), "_waveform"),
    )

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self._query = {name: each[0] for name, each in parse_qs(url.query).items()}
        self.server.requests.append((self.path, self.headers["Range"]))
        for pattern, name in self._ROUTES:
            if match := pattern.fullmatch(url.path):
                getattr(self, name)(*match.groups())
                return
        self._problem(404, "There is no such path.")

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _file(self, name: str) -> None:
        places = (ASSETS / name, HARNESS / name)
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            self._problem(404, "There is no such file.")
            return
        media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        self._send(200, found.read_bytes(), media_type)

    def _job(self, job_id: str) -> None:
        view = self.server.jobs[job_id].view
        self._send(200, json.dumps(view).encode(), "application/json")

    def _stem(self, job_id: str, name: str) -> None:
        time.sleep(self.server.delay_seconds)
        if self.server.failures:
            self._problem(self.server.failures.pop(0), "The server is busy.")
            return
        job = self.server.jobs[job_id]
        if "follow" not in self._query:
            self._ranged(job.stems[name])
        elif (self._query["format"], self.headers["If-Range"]) == PLAYBACK:
            self._ranged(job.playbacks[name], job)
        else:
            self._problem(416, "A playback must be read with If-Range.")

    def _ranged(self, content: Content, job: FakeJob | None = None) -> None:
        first, last = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers["Range"]).groups()  # type: ignore[union-attr]
        start, end = int(first), min(int(last or content.size - 1) + 1, content.size)
        self.send_response(206)
        self.send_header("Content-Type", "audio/wav")
        self.send_header("Content-Length", str(end - start))
        self.send_header("Content-Range", f"bytes {start}-{end - 1}/{content.size}")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        growing = job.growing if job else None
        while start < end:
            stop = min(start + _PIECE_BYTES, end)
            samples = -(-(stop - FLOAT32.header_bytes) // FLOAT32.frame_bytes)
            if growing and not growing.wait_for(samples):
                self.close_connection = True
                return
            self.wfile.write(content.read(start, stop))
            start = stop

    def _waveform(self, job_id: str) -> None:
        job, query = self.server.jobs[job_id], self._query
        if query["stem"] not in job.waveforms:
            self._problem(409, "The job has no result yet.")
            return
        waveform = job.waveforms[query["stem"]]()
        start, end = float(query.get("start", 0)), query.get("end")
        part = waveform_forms.part(
            waveform.sample_rate,
            waveform.samples,
            start,
            None if end is None else float(end),
        )
        span = waveform_forms.span(
            waveform.sample_rate,
            part,
            pixels_per_second=_number(query.get("pixels_per_second")),
            num_peaks=int(query["num_peaks"]) if "num_peaks" in query else None,
        )
        pixels = waveform.pixels(span, int(query["bands"]))
        body = b"".join(waveform_forms.dat(pixels, int(query["bits"])))
        self._send(200, body, "application/octet-stream")

    def _problem(self, status: int, detail: str) -> None:
        body = json.dumps({"status": status, "code": "problem", "detail": detail})
        self._send(status, body.encode(), "application/problem+json")

    def _send(self, status: int, body: bytes, media_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)
