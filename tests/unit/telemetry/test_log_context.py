"""Lines have the job and the request that they belong to."""

from concurrent.futures import ThreadPoolExecutor

from serve_app.api import request_id
from serve_app.telemetry import log_context
from serve_app.telemetry.tracing import current
from serve_app.telemetry.tracing.tracer import RemoteSpan
from tests.unit.telemetry.tracing.spans import PARENT, TRACE


def test_a_block_has_its_job_and_what_is_around_it_does_not() -> None:
    with log_context.bound("a", "r"):
        assert log_context.current() == {"job": "a", "request": "r"}
        with log_context.bound("b", None):
            assert log_context.current() == {"job": "b"}
    assert log_context.current() == {}


def test_a_thread_has_only_its_own_job() -> None:
    with log_context.bound("a", "r"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(log_context.current).result() == {}


def test_a_request_of_the_api_is_known_by_its_id() -> None:
    token = request_id.current.set("r")
    try:
        assert log_context.current() == {"request": "r"}
    finally:
        request_id.current.reset(token)


def test_lines_of_a_sampled_trace_have_its_id() -> None:
    with current.entered(RemoteSpan(PARENT)), log_context.bound("a", None):
        assert log_context.current() == {"trace_id": TRACE, "job": "a"}
    with current.entered(RemoteSpan(f"{PARENT[:-2]}00")):
        assert log_context.current() == {}
