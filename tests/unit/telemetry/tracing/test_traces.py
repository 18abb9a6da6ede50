"""What happens in the service becomes spans, each below the right parent."""

import asyncio
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest

from serve_app.api import traceparent
from serve_app.api.middleware import RequestBegin, RequestEnd
from serve_app.errors import UnreadableAudio
from serve_app.jobs.attempt import AttemptEnd, Outcome
from serve_app.telemetry.decodes import Decodes
from serve_app.telemetry.meter import NO_METER
from serve_app.telemetry.tracing import current
from serve_app.telemetry.tracing.tracer import NO_SPAN, SpanKind
from serve_app.telemetry.tracing.traces import NO_TRACES, Traces
from serve_app.webhooks.delivery import Delivery, DeliveryState
from serve_app.webhooks.sender import SendEnd, SendOutcome
from tests.jobs import NOON, new_job
from tests.unit.telemetry.tracing.spans import PARENT, TRACE, KeepingTracer

POST = RequestBegin("POST", "https", "", is_trusted=False)


@pytest.fixture
def tracer() -> KeepingTracer:
    return KeepingTracer()


@pytest.fixture
def traces(tracer: KeepingTracer) -> Traces:
    return Traces(tracer)


@pytest.fixture(autouse=True)
def _no_span() -> Any:
    with current.entered(NO_SPAN):
        yield


def test_a_request_is_named_by_its_route(tracer: KeepingTracer, traces: Traces) -> None:
    end = traces.request(POST)
    assert end is not None
    end(RequestEnd("/job/{job_id}/deliveries", "POST", 200, 0.1))
    span = tracer.named("POST /job/{job_id}/deliveries")
    assert span.start.kind is SpanKind.SERVER
    assert span.attributes == {
        "http.request.method": "POST",
        "http.route": "/job/{job_id}/deliveries",
        "http.response.status_code": 200,
        "url.scheme": "https",
    }
    assert span.error == ""


@pytest.mark.parametrize(
    ("route", "method", "status", "name", "error"),
    [
        ("/jobs", "POST", 404, "POST /jobs", ""),
        ("/jobs", "POST", 503, "POST /jobs", "503"),
        ("", "POST", 404, "POST", ""),
        ("", "SECRET", 405, "_OTHER", ""),
        ("/jobs", "POST", 0, "POST /jobs", ""),
    ],
)
def test_only_errors_of_the_server_are_errors(
    *,
    tracer: KeepingTracer,
    traces: Traces,
    route: str,
    method: str,
    status: int,
    name: str,
    error: str,
) -> None:
    end = traces.request(RequestBegin(method, "http", "", is_trusted=False))
    assert end is not None
    end(RequestEnd(route, method, status, 0.1))
    span = tracer.named(name)
    assert span.error == error
    assert ("http.response.status_code" in span.attributes) is bool(status)
    assert "SECRET" not in str(span)


@pytest.mark.parametrize(
    ("is_trusted", "parent", "links"), [(True, PARENT, []), (False, "", [PARENT])]
)
def test_only_the_trace_of_a_trusted_caller_goes_on(
    *,
    tracer: KeepingTracer,
    traces: Traces,
    is_trusted: bool,
    parent: str,
    links: list[str],
) -> None:
    traces.request(RequestBegin("POST", "http", PARENT, is_trusted=is_trusted))
    [span] = tracer.spans
    assert span.start.parent == parent
    assert span.links == links
    assert current.traceparent() == span.traceparent


def test_a_poll_starts_no_trace_and_is_part_of_a_trusted_one(
    tracer: KeepingTracer, traces: Traces
) -> None:
    traces.request(POST)
    assert traces.request(RequestBegin("GET", "http", PARENT, is_trusted=False)) is None
    assert current.traceparent() is None, "that of the request before is left"
    assert traces.request(RequestBegin("GET", "http", PARENT, is_trusted=True))
    assert len(tracer.spans) == 2


def test_a_decoding_is_a_step_of_its_request(
    tracer: KeepingTracer, traces: Traces
) -> None:
    traces.request(POST)
    request = current.span()
    decodes = Decodes(NO_METER, traces)
    with decodes.recorded(1.5):
        assert current.span() is tracer.named("decode")
    assert current.span() is request
    span = tracer.named("decode")
    assert span.start.parent == request.traceparent
    assert span.attributes == {"stemserve.wait_seconds": 1.5}
    assert span.error == ""


@pytest.mark.parametrize(
    ("error", "type"),
    [
        (UnreadableAudio("the text of a client"), "unreadable_audio"),
        (RuntimeError("the text of a client"), "RuntimeError"),
        (asyncio.CancelledError(), "CancelledError"),
    ],
)
def test_a_step_that_fails_has_the_type_of_its_error_and_no_text(
    tracer: KeepingTracer, traces: Traces, error: BaseException, type: str
) -> None:
    with pytest.raises(error.__class__), Decodes(NO_METER, traces).recorded(0.0):
        raise error
    assert tracer.named("decode").error == type
    assert "client" not in str(tracer.spans)


def test_an_attempt_follows_the_wait_in_the_queue(
    tracer: KeepingTracer, traces: Traces
) -> None:
    claimed_at = NOON + timedelta(seconds=3)
    job = new_job(traceparent=PARENT, attempt=1, started_at=claimed_at)
    with traces.attempt(job) as started:
        assert current.trace_id() == TRACE
    queued, attempt = tracer.named("queued"), tracer.named("attempt")
    assert (queued.start.at, queued.ends) == (NOON, [("", claimed_at)])
    assert attempt.start.at == claimed_at
    assert attempt.start.kind is SpanKind.CONSUMER
    assert queued.start.parent == attempt.start.parent == PARENT
    assert started == job.evolve(traceparent=attempt.traceparent)
    assert attempt.attributes["stemserve.job.id"] == job.id
    assert attempt.attributes["stemserve.attempt"] == 1
    assert job.request.source.filename not in str(attempt.attributes)


def test_a_retry_is_another_attempt_in_the_same_trace(
    tracer: KeepingTracer, traces: Traces
) -> None:
    with traces.attempt(new_job(traceparent=PARENT, attempt=2)):
        traces.attempt_ended(AttemptEnd("separation", Outcome.SUCCEEDED))
    [attempt] = tracer.spans
    assert attempt.start.parent == PARENT
    assert attempt.attributes["stemserve.attempt"] == 2


@pytest.mark.parametrize(
    ("outcome", "reason", "error"),
    [
        (Outcome.SUCCEEDED, "", ""),
        (Outcome.RETRIED, "replica_died", "replica_died"),
        (Outcome.RETRIED, "", ""),
        (Outcome.CANCELLED, "", ""),
        (Outcome.LOST, "", "lost"),
    ],
)
def test_an_attempt_ends_with_its_outcome_and_error_code(
    tracer: KeepingTracer, traces: Traces, outcome: Outcome, reason: str, error: str
) -> None:
    async def run() -> None:
        with traces.attempt(new_job(traceparent=PARENT, attempt=1)):
            task = asyncio.create_task(end())
        await task

    async def end() -> None:
        traces.attempt_ended(AttemptEnd("separation", outcome, reason))

    asyncio.run(run())
    span = tracer.named("attempt")
    assert span.error == error
    assert span.attributes["stemserve.outcome"] == outcome.value
    assert span.attributes["stemserve.job.kind"] == "separation"


def test_a_job_from_before_traces_has_only_its_attempt(
    tracer: KeepingTracer, traces: Traces
) -> None:
    with traces.attempt(new_job(attempt=1)):
        pass
    assert [span.name for span in tracer.spans] == ["attempt"]


def test_the_stages_of_a_worker_follow_each_other_below_the_attempt(
    tracer: KeepingTracer, traces: Traces
) -> None:
    reported: list[tuple[str, float]] = []
    job = new_job(traceparent=PARENT, attempt=1)
    with traces.stages(job) as stages:
        report = stages.over(lambda *values: reported.append(values))
        assert current.trace_id() == TRACE
        for values in (("fetch", 0.0), ("separate", 0.1), ("separate", 0.5)):
            report(*values)
        assert tracer.named("fetch").ends
        assert not tracer.named("separate").ends
    assert [span.name for span in tracer.spans] == ["fetch", "separate"]
    assert {span.start.parent for span in tracer.spans} == {PARENT}
    assert tracer.named("separate").error == ""
    assert reported == [("fetch", 0.0), ("separate", 0.1), ("separate", 0.5)]


def test_the_stage_in_which_a_worker_fails_has_the_error(
    tracer: KeepingTracer, traces: Traces
) -> None:
    def work() -> None:
        with traces.stages(new_job(traceparent=PARENT)) as stages:
            report = stages.over(lambda *_: None)
            report("fetch", 0.0)
            report("separate", 0.0)
            raise UnreadableAudio("noise")

    with pytest.raises(UnreadableAudio):
        work()
    assert tracer.named("fetch").error == ""
    assert tracer.named("separate").error == "unreadable_audio"


def test_an_analysis_is_below_what_asked_for_it(
    tracer: KeepingTracer, traces: Traces
) -> None:
    with traces.analysis("a", PARENT):
        pass
    with traces.analysis("", None):
        pass
    of_job, other = tracer.spans
    assert of_job.start.parent == PARENT
    assert of_job.attributes == {"stemserve.job.id": "a"}
    assert (other.start.parent, other.attributes) == ("", {})


def test_a_reused_result_links_to_the_job_that_made_it(
    tracer: KeepingTracer, traces: Traces
) -> None:
    donor = new_job("b", traceparent=traceparent.written(7, 8, 1))
    with traces.attempt(new_job(traceparent=PARENT, attempt=2)):
        traces.reused(donor)
        traces.reused(new_job("c"))
    span = tracer.named("attempt")
    assert span.links == [donor.traceparent]
    assert span.attributes["stemserve.reused"] is True


def delivery(attempt: int) -> Delivery:
    return Delivery(
        id="msg_1",
        channel="webhook",
        job_id="a",
        url="https://hooks.example.com/secret?token=secret",
        host="hooks.example.com",
        event="job.completed",
        body="secret",
        state=DeliveryState.PENDING,
        attempt=attempt,
        failures=attempt - 1,
        created_at=NOON,
        due_at=NOON,
        gives_up_at=NOON,
        traceparent=PARENT,
    )


@pytest.mark.parametrize(
    ("end", "error"),
    [
        (SendEnd(SendOutcome.DELIVERED, 204), ""),
        (SendEnd(SendOutcome.RETRIED, 500), "500"),
        (SendEnd(SendOutcome.RETRIED, None), "no_response"),
        (SendEnd(SendOutcome.DEAD, 410), "410"),
    ],
)
def test_each_attempt_to_send_a_webhook_is_a_span_without_its_url(
    tracer: KeepingTracer, traces: Traces, end: SendEnd, error: str
) -> None:
    with traces.delivery(delivery(attempt=3)):
        assert current.trace_id() == TRACE
        traces.delivery_ended(end)
    span = tracer.named("POST webhook")
    assert span.start.parent == PARENT
    assert span.start.kind is SpanKind.CLIENT
    assert span.attributes["server.address"] == "hooks.example.com"
    assert span.attributes["http.request.resend_count"] == 2
    assert span.attributes.get("http.response.status_code") == end.status
    assert span.error == error
    assert "secret" not in str(span)


def test_a_delivery_that_was_not_recorded_is_an_error(
    tracer: KeepingTracer, traces: Traces
) -> None:
    with traces.delivery(delivery(attempt=1)):
        pass
    span = tracer.named("POST webhook")
    assert span.error == "not_recorded"
    assert "http.request.resend_count" not in span.attributes


def test_without_traces_a_job_passes_unchanged_and_has_none() -> None:
    assert not NO_TRACES.is_on
    with NO_TRACES.attempt(new_job(attempt=1)) as job:
        assert job == new_job(attempt=1)
        NO_TRACES.attempt_ended(AttemptEnd("separation", Outcome.SUCCEEDED))
    NO_TRACES.request(POST)
    assert current.traceparent() is None


OFF = """
import sys
from serve_app.api.app import create_app
from serve_app.stems.http import part
from serve_app.telemetry.tracing.traces import NO_TRACES
ours = ("opentelemetry.sdk", "opentelemetry.exporter")
print([name for name in sys.modules if name.startswith(ours)])
"""


def test_without_traces_opentelemetry_is_not_imported() -> None:
    """Other libraries may import its API, which does nothing."""
    command = [sys.executable, "-c", OFF]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
