"""The interface to what exports the spans of a process."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Protocol

# No value may be a tenant's name, a key, a file's name, or a path or URL of a client.
Attributes = Mapping[str, str | int | float | bool]


class SpanKind(Enum):
    """The kind of a span, as OpenTelemetry names it."""

    INTERNAL = auto()
    SERVER = auto()  # a request that this service received
    CLIENT = auto()  # a request that it sent
    CONSUMER = auto()  # work that waited in a queue


@dataclass(frozen=True)
class SpanStart:
    """A span to start, below `parent` or as the first of a trace.

    `parent` and `links` are values of `traceparent`. It starts now, or at `at`.
    """

    name: str
    kind: SpanKind = SpanKind.INTERNAL
    parent: str = ""
    attributes: Attributes = field(default_factory=dict)
    links: tuple[str, ...] = ()
    at: datetime | None = None


class Span(Protocol):
    """A span; its methods never block and never raise, and are thread-safe."""

    @property
    def traceparent(self) -> str:
        """The `traceparent` of what this span causes; "" if traces are off."""

    def rename(self, name: str) -> None:
        """Replace the name."""

    def annotate(self, attributes: Attributes) -> None:
        """Add or replace attributes."""

    def link(self, traceparent: str) -> None:
        """Add a link to a span of another trace."""

    def end(self, error: str = "", at: datetime | None = None) -> None:
        """End it, now or at `at`; `error` is the type of the error that ended it."""


class Tracer(Protocol):
    """Starts spans, and exports them when they have ended."""

    @property
    def is_on(self) -> bool:
        """Whether it exports any span."""

    def start(self, start: SpanStart) -> Span:
        """Start a span; never blocks and never raises."""

    def close(self) -> None:
        """Export what has ended; blocks for a few seconds at most."""


@dataclass(frozen=True)
class RemoteSpan:
    """A span of another process or of none: it records nothing here."""

    traceparent: str = ""

    def rename(self, name: str) -> None:
        """Do nothing."""

    def annotate(self, attributes: Attributes) -> None:
        """Do nothing."""

    def link(self, traceparent: str) -> None:
        """Do nothing."""

    def end(self, error: str = "", at: datetime | None = None) -> None:
        """Do nothing."""


NO_SPAN = RemoteSpan()


class NoTracer:
    """Exports nothing."""

    is_on = False

    def start(self, start: SpanStart) -> Span:
        """Return a span that records nothing."""
        return NO_SPAN

    def close(self) -> None:
        """Do nothing."""


NO_TRACER = NoTracer()
