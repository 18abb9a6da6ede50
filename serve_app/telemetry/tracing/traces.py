"""What happens in a process, as spans."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from serve_app.api.middleware import OnRequest, RequestBegin, RequestEnd
from serve_app.errors import AppError
from serve_app.jobs.attempt import AttemptEnd, Outcome
from serve_app.jobs.job import AnyJob
from serve_app.telemetry.tracing import current
from serve_app.telemetry.tracing.tracer import (
    NO_SPAN,
    NO_TRACER,
    Attributes,
    RemoteSpan,
    Span,
    SpanKind,
    SpanStart,
    Tracer,
)
from serve_app.webhooks.delivery import Delivery
from serve_app.webhooks.sender import SendEnd, SendOutcome

# They only start no trace: clients poll, and monitors probe, all the time.
_READS = ("GET", "HEAD", "OPTIONS")
_METHODS = (*_READS, "POST", "PUT", "PATCH", "DELETE")
_SERVER_ERROR = 500

Report = Callable[[str, float], None]


class Traces:
    """The callbacks of the parts of the service that report what happens in them.

    Names and attributes of spans are those of OpenTelemetry's semantic conventions, or
    begin with `stemserve.`.
    """

    def __init__(self, tracer: Tracer = NO_TRACER) -> None:
        self._tracer = tracer

    @property
    def is_on(self) -> bool:
        """Whether any span is exported."""
        return self._tracer.is_on

    def request(self, begin: RequestBegin) -> OnRequest | None:
        """Start the span of a request, and return what ends it; None if it has none.

        The trace of a trusted caller goes on. That of another caller is only linked to
        a new one, because callers could have every request sampled. Requests that
        change nothing start no trace.
        """
        parent = begin.traceparent if begin.is_trusted else ""
        if begin.method in _READS and not parent:
            current.set_span(NO_SPAN)
            return None
        method = _method(begin.method)
        start = SpanStart(
            method,
            SpanKind.SERVER,
            parent,
            {"http.request.method": method, "url.scheme": begin.scheme},
            (begin.traceparent,) if begin.traceparent and not parent else (),
        )
        span = self._tracer.start(start)
        current.set_span(span)
        return lambda end: _end_request(span, end)

    @contextmanager
    def step(
        self, name: str, attributes: Attributes, parent: str | None = None
    ) -> Iterator[None]:
        """Trace the block as a step of `parent`, or else of the current span."""
        above = current.span().traceparent if parent is None else parent
        span = self._tracer.start(SpanStart(name, parent=above, attributes=attributes))
        with current.entered(span):
            try:
                yield
            except BaseException as error:
                span.end(_error_type(error))
                raise
            span.end()

    def analysis(
        self, job_id: str, traceparent: str | None
    ) -> AbstractContextManager[None]:
        """Trace the block as the analysis of a song, which may be that of a job."""
        attributes = {"stemserve.job.id": job_id} if job_id else {}
        return self.step("analyze", attributes, traceparent or "")

    @contextmanager
    def stages(self, job: AnyJob) -> Iterator["Stages"]:
        """Trace the stages of an attempt at a job, in its worker."""
        stages = Stages(self._tracer, job)
        with current.entered(RemoteSpan(job.traceparent or "")):
            try:
                yield stages
            except BaseException as error:
                stages.end(_error_type(error))
                raise
            stages.end()

    @contextmanager
    def attempt(self, job: AnyJob) -> Iterator[AnyJob]:
        """Start the span of an attempt: of the tasks that the block creates.

        Yields the job for its worker, whose spans are below that of the attempt.
        """
        parent = job.traceparent or ""
        attributes = attributes_of(job)
        if parent and job.attempt == 1:
            queued = SpanStart(
                "queued", parent=parent, attributes=attributes, at=job.created_at
            )
            self._tracer.start(queued).end(at=job.started_at)
        attributes["stemserve.audio_seconds"] = job.audio_seconds
        span = self._tracer.start(
            SpanStart(
                "attempt", SpanKind.CONSUMER, parent, attributes, at=job.started_at
            )
        )
        with current.entered(span):
            yield job.evolve(traceparent=span.traceparent or None)

    def attempt_ended(self, end: AttemptEnd) -> None:
        """End the span of the current attempt."""
        span = current.span()
        span.annotate(
            {"stemserve.job.kind": end.kind, "stemserve.outcome": end.outcome.value}
        )
        lost = Outcome.LOST.value if end.outcome is Outcome.LOST else ""
        span.end(end.reason or lost)

    def reused(self, donor: AnyJob) -> None:
        """Link the current span to the job whose result it reuses."""
        span = current.span()
        span.annotate({"stemserve.reused": True})
        if donor.traceparent:
            span.link(donor.traceparent)

    @contextmanager
    def delivery(self, delivery: Delivery) -> Iterator[None]:
        """Trace an attempt to send a webhook, which `delivery_ended` ends."""
        attributes: dict[str, str | int | float | bool] = {
            "http.request.method": "POST",
            "server.address": delivery.host,
            "stemserve.job.id": delivery.job_id,
            "stemserve.attempt": delivery.attempt,
            "stemserve.webhook.event": delivery.event,
        }
        if delivery.attempt > 1:
            attributes["http.request.resend_count"] = delivery.attempt - 1
        parent = delivery.traceparent or ""
        span = self._tracer.start(
            SpanStart("POST webhook", SpanKind.CLIENT, parent, attributes)
        )
        with current.entered(span):
            try:
                yield
            finally:
                span.end("not_recorded")

    def delivery_ended(self, end: SendEnd) -> None:
        """End the span of the current attempt to send a webhook."""
        span = current.span()
        span.annotate({"stemserve.outcome": end.outcome.value})
        if end.status is not None:
            span.annotate({"http.response.status_code": end.status})
        is_sent = end.outcome is SendOutcome.DELIVERED
        span.end("" if is_sent else str(end.status or "no_response"))


class Stages:
    """The stages of an attempt at a job: each begins at its first report."""

    def __init__(self, tracer: Tracer, job: AnyJob) -> None:
        self._tracer = tracer
        self._job = job
        self._stage = ""
        self._span: Span = NO_SPAN

    def over(self, report: Report) -> Report:
        """Return `report`, which also begins stages."""

        def begun(stage: str, fraction: float) -> None:
            if stage != self._stage:
                self._begin(stage)
            report(stage, fraction)

        return begun

    def end(self, error: str = "") -> None:
        """End the last stage."""
        self._span.end(error)

    def _begin(self, stage: str) -> None:
        self._span.end()
        self._stage = stage
        parent, attributes = self._job.traceparent or "", attributes_of(self._job)
        start = SpanStart(stage, parent=parent, attributes=attributes)
        self._span = self._tracer.start(start)


def attributes_of(job: AnyJob) -> dict[str, str | int | float | bool]:
    """Return the attributes of all spans of an attempt at a job."""
    return {"stemserve.job.id": job.id, "stemserve.attempt": job.attempt}


def _end_request(span: Span, end: RequestEnd) -> None:
    if end.route:
        span.rename(f"{_method(end.method)} {end.route}")
        span.annotate({"http.route": end.route})
    # It is 0 if the client left before the response.
    if end.status:
        span.annotate({"http.response.status_code": end.status})
    span.end(str(end.status) if end.status >= _SERVER_ERROR else "")


def _method(method: str) -> str:
    """Return the name of a method; others than the usual are text of clients."""
    return method if method in _METHODS else "_OTHER"


def _error_type(error: BaseException) -> str:
    if isinstance(error, AppError):
        return error.code
    return type(error).__name__


NO_TRACES = Traces()
