"""A tracer that keeps its spans."""

from dataclasses import dataclass, field
from datetime import datetime

from serve_app.api import traceparent
from serve_app.telemetry.tracing.tracer import Attributes, SpanStart

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@dataclass
class KeptSpan:
    """A span, with what was done to it."""

    start: SpanStart
    traceparent: str
    name: str
    attributes: dict[str, str | int | float | bool]
    links: list[str] = field(default_factory=list)
    ends: list[tuple[str, datetime | None]] = field(default_factory=list)

    def rename(self, name: str) -> None:
        """Replace the name."""
        self.name = name

    def annotate(self, attributes: Attributes) -> None:
        """Add attributes."""
        self.attributes.update(attributes)

    def link(self, traceparent: str) -> None:
        """Keep a link."""
        self.links.append(traceparent)

    def end(self, error: str = "", at: datetime | None = None) -> None:
        """Keep the first end."""
        if not self.ends:
            self.ends.append((error, at))

    @property
    def error(self) -> str:
        """The error that it ended with; raises IndexError if it has not ended."""
        return self.ends[0][0]


class KeepingTracer:
    """Keeps spans, in the order of their starts."""

    is_on = True

    def __init__(self) -> None:
        self.spans: list[KeptSpan] = []

    def start(self, start: SpanStart) -> KeptSpan:
        """Start a span, of the trace of its parent or a new one."""
        number = len(self.spans) + 1
        trace_id = traceparent.parsed(start.parent)[0] if start.parent else number
        span = KeptSpan(
            start,
            traceparent.written(trace_id, number, 1),
            start.name,
            dict(start.attributes),
            list(start.links),
        )
        self.spans.append(span)
        return span

    def close(self) -> None:
        """Do nothing."""

    def named(self, name: str) -> KeptSpan:
        """Return the only span of that name."""
        [found] = [span for span in self.spans if span.name == name]
        return found
