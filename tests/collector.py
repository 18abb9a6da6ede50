"""A collector of traces: a real HTTP server that takes OTLP, well or badly."""

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage


@dataclass(frozen=True)
class CollectedSpan:
    """A span as it arrived; ids are hexadecimal, times in seconds since 1970."""

    name: str
    kind: str
    trace_id: str
    id: str
    parent_id: str
    began_seconds: float
    ended_seconds: float
    attributes: Mapping[str, Any]
    links: tuple[str, ...]
    is_error: bool
    resource: Mapping[str, Any]

    @property
    def seconds(self) -> float:
        """Its duration."""
        return self.ended_seconds - self.began_seconds


class Collector:
    """Collects spans at `url`; answers with `status`, after `release` if it hangs."""

    def __init__(self, status: int = 200, *, hangs: bool = False) -> None:
        self.spans: list[CollectedSpan] = []
        self.requests: list[Mapping[str, str]] = []
        self.bodies: list[bytes] = []
        self.status = status
        self.release = Event()
        if not hangs:
            self.release.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def of_trace(self, trace_id: str) -> list[CollectedSpan]:
        """Return the spans of a trace, by their start."""
        found = [span for span in self.spans if span.trace_id == trace_id]
        return sorted(found, key=lambda span: span.began_seconds)

    def take(self, headers: Mapping[str, str], path: str, body: bytes) -> None:
        """Keep a request, and its spans if they are taken."""
        self.requests.append({**headers, "path": path})
        if headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if self.status == 200:
            self.bodies.append(body)
            self.spans += _spans(body)


def _handler(collector: Collector) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.release.wait()
            collector.take(dict(self.headers), self.path, body)
            self.send_response(collector.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    return Handler


def _spans(body: bytes) -> list[CollectedSpan]:
    return [
        _span(span, _values(of_process.resource.attributes))
        for of_process in ExportTraceServiceRequest.FromString(body).resource_spans
        for of_scope in of_process.scope_spans
        for span in of_scope.spans
    ]


def _span(span: SpanMessage, resource: Mapping[str, Any]) -> CollectedSpan:
    return CollectedSpan(
        span.name,
        SpanMessage.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.start_time_unix_nano / 1e9,
        span.end_time_unix_nano / 1e9,
        _values(span.attributes),
        tuple(link.trace_id.hex() for link in span.links),
        span.status.code == span.status.STATUS_CODE_ERROR,
        resource,
    )


def _values(pairs: Sequence[KeyValue]) -> dict[str, Any]:
    return {
        pair.key: getattr(pair.value, str(pair.value.WhichOneof("value")))
        for pair in pairs
    }
