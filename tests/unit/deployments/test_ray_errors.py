"""Errors of one replica are raised unchanged in another."""

import pickle

import pytest
from ray.exceptions import RayActorError

from deployments.ray_errors import Failed, reason_of, translated, value_of
from serve_app.errors import AppError, FileLost
from serve_app.jobs.runner import ReplicaDied


def test_an_answer_is_given_as_it_came() -> None:
    assert value_of({"bpm": 120}) == {"bpm": 120}


def test_an_error_that_was_returned_is_raised() -> None:
    sent = pickle.loads(pickle.dumps(Failed(FileLost("It is gone."))))  # noqa: S301
    with pytest.raises(FileLost, match="It is gone"):
        value_of(sent)


def test_a_client_reads_nothing_of_ray_when_a_replica_died(
    caplog: pytest.LogCaptureFixture,
) -> None:
    died = RayActorError("The actor died.\n\tpid: 3333\n\tip: 10.0.0.1")
    with pytest.raises(ReplicaDied) as found, translated(lambda error: AppError()):
        raise died
    assert found.value.detail == (
        "The process that did the work ended unexpectedly. Try again."
    )
    [line] = caplog.messages
    assert line.startswith("replica died: ")
    assert "\n" not in line


def test_the_reason_of_a_start_that_failed_is_its_error_in_one_line() -> None:
    told = """The deployment failed to start 3 times in a row. Error:
    Traceback (most recent call last):
      File "devices.py", line 30, in resolve
    serve_app.errors.Unavailable: There is no device 'cuda' here: use `cpu`."""
    assert reason_of(["", told]) == "There is no device 'cuda' here: use `cpu`."
    assert reason_of(["It is unhealthy."]) == "It is unhealthy."
    assert reason_of(["", ""]) is None
