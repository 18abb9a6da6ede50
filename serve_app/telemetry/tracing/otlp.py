"""Spans exported by OTLP over HTTP, as the environment's OTEL_* say.

Imported only if traces are on: OpenTelemetry is an optional dependency.
"""

import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from threading import Lock, Thread

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import SpanKind as OtelKind

from serve_app.api import traceparent
from serve_app.telemetry.tracing.tracer import Attributes, Span, SpanStart

logger = logging.getLogger(__name__)

# How long `close` waits for the collector.
_CLOSE_SECONDS = 5.0
# The variables of batches, and their defaults by OpenTelemetry's specification.
_QUEUE_VARIABLE, _QUEUE_SPANS = "OTEL_BSP_MAX_QUEUE_SIZE", 2048
_BATCH_VARIABLE, _BATCH_SPANS = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512
_EXPORTERS = "opentelemetry.exporter"
QUEUE_FULL, EXPORT_FAILED = "queue_full", "export_failed"

# Gets the reason for which spans were dropped, and their number.
OnDrop = Callable[[str, int], None]


class OtlpTracer:
    """Exports spans in batches, from a thread of its own, and drops what is too much.

    `resource` describes this process; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES
    have precedence. See `Tracer`.
    """

    is_on = True

    def __init__(
        self, resource: Mapping[str, str], on_drop: OnDrop = lambda *_: None
    ) -> None:
        given = OTELResourceDetector().detect().attributes
        self._provider = TracerProvider(
            resource=Resource.create({**resource, **given}), shutdown_on_exit=False
        )
        self._provider.add_span_processor(_BoundedQueue(on_drop))
        self._tracer = self._provider.get_tracer("stemserve")

    def start(self, start: SpanStart) -> Span:
        """Start a span."""
        # An empty context, because Ray may trace its own calls.
        context = Context()
        if start.parent:
            parent = NonRecordingSpan(_context_of(start.parent))
            context = set_span_in_context(parent, context)
        return _Span(
            self._tracer.start_span(
                start.name,
                context,
                OtelKind[start.kind.name],
                dict(start.attributes),
                [Link(_context_of(each)) for each in start.links],
                _nanoseconds(start.at),
            )
        )

    def close(self) -> None:
        """Export what has ended, for some seconds at most."""
        closing = Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(_CLOSE_SECONDS)


class _Span:
    def __init__(self, span: OtelSpan) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        context = self._span.get_span_context()
        return traceparent.written(
            context.trace_id, context.span_id, context.trace_flags
        )

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def annotate(self, attributes: Attributes) -> None:
        self._span.set_attributes(dict(attributes))

    def link(self, traceparent: str) -> None:
        self._span.add_link(_context_of(traceparent))

    def end(self, error: str = "", at: datetime | None = None) -> None:
        if not self._span.is_recording():
            return
        if error:
            self._span.set_attribute("error.type", error)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end(_nanoseconds(at))


def _context_of(header: str) -> SpanContext:
    trace_id, span_id, flags = traceparent.parsed(header)
    return SpanContext(trace_id, span_id, True, TraceFlags(flags))


def _nanoseconds(at: datetime | None) -> int | None:
    return None if at is None else round(at.timestamp() * 1_000_000) * 1000


class _BoundedQueue(SpanProcessor):
    """Passes ended spans to a batch processor, unless too many wait for their export.

    The processor drops spans too, but does not tell how many.
    """

    def __init__(self, on_drop: OnDrop) -> None:
        self._most = _number(_QUEUE_VARIABLE, _QUEUE_SPANS)
        self._on_drop = on_drop
        self._waiting, self._lock = 0, Lock()
        exporter = _ReportedExporter(OTLPSpanExporter(), self._taken, on_drop)
        self._batches = BatchSpanProcessor(
            exporter,
            max_queue_size=self._most,
            max_export_batch_size=min(
                self._most, _number(_BATCH_VARIABLE, _BATCH_SPANS)
            ),
        )

    def on_end(self, span: ReadableSpan) -> None:
        """Have the span exported, or drop it."""
        if not span.context.trace_flags.sampled:
            return
        with self._lock:
            is_full = self._waiting >= self._most
            self._waiting += not is_full
        if is_full:
            self._on_drop(QUEUE_FULL, 1)
        else:
            self._batches.on_end(span)

    def shutdown(self) -> None:
        """Export what waits, as long as the collector takes it."""
        self._batches.shutdown()  # type: ignore[no-untyped-call]

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Export what waits."""
        return self._batches.force_flush(timeout_millis)

    def _taken(self, number: int) -> None:
        with self._lock:
            self._waiting -= number


class _ReportedExporter(SpanExporter):
    """Reports the spans that an exporter takes and drops, and logs once that it fails.

    OpenTelemetry logs each failure; the last one becomes part of that line.
    """

    def __init__(
        self, exporter: SpanExporter, on_take: Callable[[int], None], on_drop: OnDrop
    ) -> None:
        self._exporter = exporter
        self._on_take = on_take
        self._on_drop = on_drop
        self._dropped = 0
        self._reason = _LastMessage()
        theirs = logging.getLogger(_EXPORTERS)
        theirs.handlers, theirs.propagate = [self._reason], False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export spans, in one thread at a time."""
        self._on_take(len(spans))
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            if self._dropped:
                logger.info("spans exported again dropped=%d", self._dropped)
            self._dropped = 0
            return result
        if not self._dropped:
            # Later spans are dropped without a line, until one is exported.
            error = json.dumps(self._reason.text)
            logger.warning("spans not exported dropped=%d error=%s", len(spans), error)
        self._dropped += len(spans)
        self._on_drop(EXPORT_FAILED, len(spans))
        return result

    def shutdown(self) -> None:
        """Stop exporting, also while it waits to try again."""
        self._exporter.shutdown()


class _LastMessage(logging.Handler):
    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


def _number(variable: str, default: int) -> int:
    """Return the positive number in a variable; the default for any other text."""
    text = os.environ.get(variable, "")
    return int(text) if text.isdecimal() and int(text) > 0 else default
