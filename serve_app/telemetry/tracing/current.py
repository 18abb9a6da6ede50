"""The span of the current request, attempt or step."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from serve_app.api.traceparent import sampled_trace_id
from serve_app.telemetry.tracing.tracer import NO_SPAN, Span

_span: ContextVar[Span] = ContextVar("span", default=NO_SPAN)


def span() -> Span:
    """Return the span of the current thread or task; one that does nothing if none."""
    return _span.get()


def set_span(span: Span) -> None:
    """Make `span` the current one until the end of the current task."""
    _span.set(span)


@contextmanager
def entered(span: Span) -> Iterator[None]:
    """Make `span` the current one of the block, and of the tasks that it creates."""
    token = _span.set(span)
    try:
        yield
    finally:
        _span.reset(token)


def traceparent() -> str | None:
    """Return the `traceparent` of the current span, to store with a new job."""
    return _span.get().traceparent or None


def trace_id() -> str:
    """Return the id of the current trace, or "" if there is none that is sampled."""
    return sampled_trace_id(_span.get().traceparent)
