"""A song is one trace, from its upload to its webhook, whatever happens between."""

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from deployments.args import AppArgs
from serve_app.webhooks import signing
from tests import media
from tests.collector import CollectedSpan, Collector
from tests.serve.application import running
from tests.serve.service import Service, replica_processes, wait_for
from tests.unit.webhooks.receiver import Receiver, status

LONG_SECONDS = 150.0
STAGES = ["fetch", "separate", "upload"]
# Spans are exported every 200 ms here.
EXPORT_SECONDS = 15.0
CLOCK_SECONDS = 0.05
TITLE = "A secret title"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def service(
    cluster: int, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Run the application with traces; its replicas' environment names a collector."""
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    pools = ("api", "dispatcher", "separator", "analyzer")
    data_dir = tmp_path_factory.mktemp("data")
    settings = {
        "data_dir": data_dir,
        "model": "demo",
        "threads": 1,
        "traces": "otlp",
        "webhook_secrets": [signing.new_secret()],
        "allow_private_webhooks": True,
    }
    given = {"settings": settings, **{name: {"env": environment} for name in pools}}
    with running(cluster, AppArgs.model_validate(given), data_dir) as service:
        yield service


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("songs") / f"{TITLE}.wav"
    media.write_song(path, seconds=3.0)
    return path


def trace_of(collector: Collector, job_id: str, *names: str) -> list[CollectedSpan]:
    """Return the trace of a job, by start, once it has a span of each name."""

    def found() -> list[CollectedSpan]:
        of_job = "stemserve.job.id"
        own = [s for s in collector.spans if s.attributes.get(of_job) == job_id]
        return collector.of_trace(own[0].trace_id) if own else []

    wait_for(lambda: set(names) <= {span.name for span in found()}, EXPORT_SECONDS)
    return found()


def only(spans: list[CollectedSpan], name: str) -> CollectedSpan:
    [found] = [span for span in spans if span.name == name]
    return found


def test_a_song_with_a_webhook_is_one_trace(
    service: Service, collector: Collector, song: Path
) -> None:
    with Receiver("127.0.0.1") as receiver:
        receiver.answers = [status(500), status(204)]
        job_id = service.submit(song, webhook_url=f"{receiver.url}?token=secret")
        assert service.wait(job_id)["status"] == "completed"
        # The second try comes after 5 seconds.
        wait_for(lambda: len(receiver.received) == 2, 20)
    names = ("POST /separate", "decode", "queued", "attempt", *STAGES, "analyze")
    trace = trace_of(collector, job_id, *names, "POST webhook")
    wait_for(lambda: len(collector.of_trace(trace[0].trace_id)) == 10, EXPORT_SECONDS)
    trace = collector.of_trace(trace[0].trace_id)
    by_id = {span.id: span.name for span in trace}
    parents = [(span.name, by_id.get(span.parent_id, "")) for span in trace]
    root, attempt = only(trace, "POST /separate"), only(trace, "attempt")
    assert sorted(parents) == sorted(
        [
            ("POST /separate", ""),
            *((name, "POST /separate") for name in ("decode", "queued", "attempt")),
            *((stage, "attempt") for stage in (*STAGES, "analyze")),
            *[("POST webhook", "POST /separate")] * 2,
        ]
    )
    assert root.attributes["http.response.status_code"] == 200
    places = {span.name: span.resource["stemserve.deployment"] for span in trace}
    assert places["POST /separate"] == places["decode"] == "Api"
    assert places["queued"] == places["attempt"] == "DispatcherReplica"
    assert {places[stage] for stage in STAGES} == {"Separator"}
    assert (places["analyze"], places["POST webhook"]) == (
        "Analyzer",
        "DispatcherReplica",
    )
    tries = [span for span in trace if span.name == "POST webhook"]
    answers = [span.attributes["http.response.status_code"] for span in tries]
    assert answers == [500, 204]
    assert [span.is_error for span in tries] == [True, False]
    assert attempt.attributes["stemserve.outcome"] == "succeeded"
    assert_durations_add_up(trace)
    sent = b"".join(collector.bodies)
    for secret in (TITLE.encode(), b"token=secret", receiver.url.encode()):
        assert secret not in sent


def assert_durations_add_up(trace: list[CollectedSpan]) -> None:
    queued, attempt = only(trace, "queued"), only(trace, "attempt")
    assert queued.ended_seconds == pytest.approx(attempt.began_seconds, abs=1e-5)
    decode, root = only(trace, "decode"), only(trace, "POST /separate")
    assert decode.seconds <= root.seconds
    stages = [only(trace, name) for name in STAGES]
    for before, after in pairwise(stages):
        gap = after.began_seconds - before.ended_seconds
        assert 0 <= gap < CLOCK_SECONDS
    assert sum(stage.seconds for stage in stages) <= attempt.seconds
    for part in (*stages, only(trace, "analyze")):
        assert attempt.began_seconds <= part.began_seconds + CLOCK_SECONDS
        assert part.ended_seconds <= attempt.ended_seconds + CLOCK_SECONDS


def test_a_song_that_was_separated_before_links_to_the_trace_that_did(
    service: Service, collector: Collector, song: Path
) -> None:
    answers = []
    for _ in range(2):
        with song.open("rb") as file:
            files = {"file": (song.name, file)}
            response = httpx.post(f"{service.url}/separate", files=files, timeout=60)
        answers.append(response.json())
        assert service.wait(answers[-1]["job_id"])["status"] == "completed"
    assert answers[1]["cache"] == "hit"

    def roots() -> list[CollectedSpan]:
        found = [s for s in collector.spans if s.name == "POST /separate"]
        return sorted(found, key=lambda span: span.began_seconds)

    wait_for(lambda: bool(roots()[-1].links), EXPORT_SECONDS)
    *earlier, hit = roots()
    assert hit.attributes["stemserve.reused"] is True
    assert set(hit.links) <= {root.trace_id for root in earlier}


def test_a_killed_separator_leaves_two_attempts_in_one_trace(
    service: Service, collector: Collector, tmp_path: Path
) -> None:
    path = tmp_path / "long.wav"
    media.write_song(path, seconds=LONG_SECONDS, sample_rate=22_050)
    job_id = service.submit(path)
    service.wait_until(job_id, lambda job: 5 < job["progress"] < 80)
    replica_processes("Separator")[0].kill()
    assert service.wait(job_id)["status"] == "completed"
    trace_of(collector, job_id, "attempt", "upload")

    def attempts() -> list[CollectedSpan]:
        trace = trace_of(collector, job_id, "attempt", "upload")
        return [span for span in trace if span.name == "attempt"]

    wait_for(lambda: len(attempts()) == 2, EXPORT_SECONDS)
    first, second = attempts()
    assert (first.trace_id, first.parent_id) == (second.trace_id, second.parent_id)
    assert first.attributes["error.type"] == "replica_died"
    assert first.attributes["stemserve.outcome"] == "retried"
    assert second.attributes["stemserve.outcome"] == "succeeded"
    numbers = [span.attributes["stemserve.attempt"] for span in (first, second)]
    assert numbers == [1, 2]
    upload = only(trace_of(collector, job_id, "upload"), "upload")
    assert upload.parent_id == second.id


def test_a_collector_that_hangs_delays_no_song(
    service: Service, collector: Collector, song: Path
) -> None:
    service.wait(service.submit(song))
    usual_seconds = seconds_of(service, song)
    collector.release.clear()
    try:
        hanging_seconds = seconds_of(service, song)
    finally:
        collector.release.set()
    print(f"a song took {usual_seconds:.1f} s, and {hanging_seconds:.1f} s")
    assert hanging_seconds < usual_seconds + 3.0


def seconds_of(service: Service, song: Path) -> float:
    began_seconds = time.monotonic()
    assert service.wait(service.submit(song))["status"] == "completed"
    return time.monotonic() - began_seconds
