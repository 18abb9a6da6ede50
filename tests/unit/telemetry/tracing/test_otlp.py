"""Spans arrive at a real collector, and one that is bad stops nothing."""

import logging
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from serve_app.telemetry.tracing import current, otlp
from serve_app.telemetry.tracing.otlp import OtlpTracer
from serve_app.telemetry.tracing.tracer import SpanKind, SpanStart
from tests.collector import CollectedSpan, Collector
from tests.jobs import NOON
from tests.ports import free_port
from tests.unit.telemetry.tracing.spans import PARENT, TRACE

RESOURCE = {"service.name": "stemserve", "stemserve.deployment": "Api"}


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        yield collector


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """OpenTelemetry's logger is set up for the whole process."""
    theirs = logging.getLogger("opentelemetry.exporter")
    before = theirs.handlers, theirs.propagate
    yield
    theirs.handlers, theirs.propagate = before


def sent(collector: Collector, *starts: SpanStart) -> list[CollectedSpan]:
    tracer = OtlpTracer(RESOURCE)
    for start in starts:
        tracer.start(start).end()
    tracer.close()
    return collector.spans


def test_a_span_arrives_with_all_that_it_has(collector: Collector) -> None:
    tracer = OtlpTracer(RESOURCE)
    start = SpanStart(
        "first", SpanKind.CLIENT, PARENT, {"a": 1, "b": True, "c": "x"}, at=NOON
    )
    span = tracer.start(start)
    span.rename("second")
    span.annotate({"a": 2.5})
    span.link(f"00-{7:032x}-{8:016x}-01")
    span.end("no_response", NOON + timedelta(seconds=2))
    span.end("too late")
    tracer.close()
    [found] = collector.spans
    assert (found.name, found.kind) == ("second", "CLIENT")
    assert (found.trace_id, found.parent_id) == (TRACE, "b7ad6b7169203331")
    assert span.traceparent == f"00-{TRACE}-{found.id}-01"
    assert found.attributes == {
        "a": 2.5,
        "b": True,
        "c": "x",
        "error.type": "no_response",
    }
    assert found.links == (f"{7:032x}",)
    assert found.is_error
    assert found.began_seconds == NOON.timestamp()
    assert found.seconds == pytest.approx(2.0)
    assert collector.requests[0]["path"] == "/v1/traces"


def test_the_current_span_is_no_parent_unless_it_is_given(
    collector: Collector,
) -> None:
    tracer = OtlpTracer(RESOURCE)
    with current.entered(tracer.start(SpanStart("outer"))):
        tracer.start(SpanStart("inner")).end()
    tracer.close()
    [inner] = collector.spans
    assert inner.parent_id == ""


def test_the_environment_names_the_service(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "stems-of-ours")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-token=secret")
    [span] = sent(collector, SpanStart("one"))
    assert span.resource["service.name"] == "stems-of-ours"
    assert span.resource["deployment.environment.name"] == "test"
    assert span.resource["stemserve.deployment"] == "Api"
    assert collector.requests[0]["x-token"] == "secret"


def test_a_service_without_a_name_in_the_environment_has_ours(
    collector: Collector,
) -> None:
    [span] = sent(collector, SpanStart("one"))
    assert span.resource["service.name"] == "stemserve"


@pytest.mark.parametrize(("flags", "number"), [("00", 0), ("01", 1)])
def test_what_the_trace_decided_about_sampling_stays_decided(
    collector: Collector, flags: str, number: int
) -> None:
    start = SpanStart("one", parent=f"{PARENT[:-2]}{flags}")
    assert OtlpTracer(RESOURCE).start(start).traceparent.endswith(flags)
    assert len(sent(collector, start)) == number


def test_a_sampler_of_the_environment_decides_about_new_traces(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    kept = sent(collector, SpanStart("new"), SpanStart("old", parent=PARENT))
    assert [span.name for span in kept] == ["old"]


class Drops:
    """Counts dropped spans by their reason."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def __call__(self, reason: str, number: int) -> None:
        """Count dropped spans."""
        self.numbers[reason] = self.numbers.get(reason, 0) + number


def test_spans_are_dropped_if_the_collector_is_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.5")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10")
    drops = Drops()
    tracer = OtlpTracer(RESOURCE, drops)
    began_seconds = time.monotonic()
    for _ in range(100):
        tracer.start(SpanStart("one")).end()
    assert time.monotonic() - began_seconds < 0.5
    tracer.close()
    assert time.monotonic() - began_seconds < 6.0
    assert drops.numbers[otlp.EXPORT_FAILED] > 0
    [record] = caplog.records
    assert record.getMessage().startswith("spans not exported dropped=10 error=")


def test_a_collector_that_is_back_gets_spans_and_the_log_says_so(
    collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "serve_app")
    collector.status = 400
    drops = Drops()
    tracer = OtlpTracer(RESOURCE, drops)
    for _ in range(2):
        tracer.start(SpanStart("lost")).end()
        tracer._provider.force_flush()
    collector.status = 200
    tracer.start(SpanStart("kept")).end()
    tracer.close()
    assert [span.name for span in collector.spans] == ["kept"]
    assert drops.numbers == {otlp.EXPORT_FAILED: 2}
    refused, again = (record.getMessage() for record in caplog.records)
    assert refused.startswith("spans not exported dropped=1 error=")
    assert "400" in refused
    assert again == "spans exported again dropped=2"


def test_a_collector_that_hangs_neither_blocks_nor_fills_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "50")
    drops = Drops()
    with Collector(hangs=True) as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        tracer = OtlpTracer(RESOURCE, drops)
        began_seconds = time.monotonic()
        for _ in range(1000):
            tracer.start(SpanStart("one")).end()
        assert time.monotonic() - began_seconds < 1.0
        # A batch of 50 is on its way at most, and 50 wait.
        assert 900 <= drops.numbers[otlp.QUEUE_FULL] <= 950
        tracer.close()
        assert time.monotonic() - began_seconds < 8.0
