"""What happens is recorded under the right metric and labels."""

import pytest

from serve_app.api.middleware import RequestEnd
from serve_app.jobs.attempt import AttemptEnd, Outcome
from serve_app.telemetry import catalogue
from serve_app.telemetry.recorder import Recorder
from serve_app.webhooks.sender import SendEnd, SendOutcome
from tests.unit.telemetry.meters import Tally


@pytest.fixture
def tally() -> Tally:
    return Tally()


@pytest.fixture
def recorder(tally: Tally) -> Recorder:
    return Recorder(tally)


def test_a_job_that_succeeded_has_its_audio_and_its_stages(
    tally: Tally, recorder: Recorder
) -> None:
    steps = {"fetch": 0.5, "separate": 20.0}
    end = AttemptEnd("separation", Outcome.SUCCEEDED, "", 180.0, steps)
    recorder.attempt_ended("stems", end)
    labels = {"kind": "separation", "outcome": "succeeded", "reason": ""}
    assert tally.of(catalogue.ATTEMPTS, **labels) == [1]
    assert tally.of(catalogue.AUDIO_SECONDS, system="stems") == [180.0]
    stage = {"system": "stems", "stage": "separate"}
    assert tally.of(catalogue.STAGE_SECONDS, **stage) == [20.0]


def test_a_job_that_failed_has_its_reason_and_no_audio(
    tally: Tally, recorder: Recorder
) -> None:
    recorder.attempt_ended("stems", AttemptEnd("analysis", Outcome.FAILED, "file_lost"))
    labels = {"kind": "analysis", "outcome": "failed", "reason": "file_lost"}
    assert tally.of(catalogue.ATTEMPTS, **labels) == [1]
    assert tally.of(catalogue.AUDIO_SECONDS, system="stems") == []


@pytest.mark.parametrize(
    ("end", "labels"),
    [
        (
            RequestEnd("/job/{job_id}", "GET", 200, 0.1),
            {"route": "/job/{job_id}", "method": "GET", "status": "2xx"},
        ),
        (
            RequestEnd("", "FRIENDLY", 404, 0.1),
            {"route": "other", "method": "other", "status": "4xx"},
        ),
        (
            RequestEnd("/jobs", "GET", 0, 0.1),
            {"route": "/jobs", "method": "GET", "status": "none"},
        ),
    ],
)
def test_a_request_has_no_text_of_its_client_in_a_label(
    tally: Tally, recorder: Recorder, end: RequestEnd, labels: dict[str, str]
) -> None:
    recorder.request_ended(end)
    assert tally.of(catalogue.HTTP_REQUESTS, **labels) == [1]
    assert tally.of(catalogue.HTTP_SECONDS, route=labels["route"]) == [0.1]


def test_the_rest_is_counted_where_it_belongs(tally: Tally, recorder: Recorder) -> None:
    recorder.batch_computed(0.5, 2.0)
    recorder.device_memory({("cuda:0", "size"): 80})
    recorder.webhook_attempted(SendEnd(SendOutcome.RETRIED, 500))
    recorder.database_failed("operational")
    recorder.storage_failed("put")
    recorder.spans_dropped("queue_full", 3)
    assert tally.of(catalogue.BATCH_FILL_RATIO) == [0.5]
    assert tally.of(catalogue.BATCH_SECONDS) == [2.0]
    memory = {"device": "cuda:0", "what": "size"}
    assert tally.of(catalogue.DEVICE_MEMORY_BYTES, **memory) == [80]
    assert tally.of(catalogue.WEBHOOK_DELIVERIES, outcome="retried") == [1]
    assert tally.of(catalogue.DATABASE_ERRORS, reason="operational") == [1]
    assert tally.of(catalogue.STORAGE_ERRORS, operation="put") == [1]
    assert tally.of(catalogue.SPANS_DROPPED, reason="queue_full") == [3]
