"""Webhooks have the fields, types and nulls that their receivers read."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from serve_app.jobs.job import State
from serve_app.library import bodies
from serve_app.library.kinds import LibraryKind, kinds
from serve_app.library.task import Done, LibraryJob, Task, TaskName
from serve_app.webhooks.message import Message
from tests.library import ANALYSIS, DUPLICATE, HASH, MIX, STAGE_ID, STEM_ID

CREATED = datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC)
NOW = CREATED + timedelta(seconds=10)
RECEIVER = "http://10.0.0.5:3000/webhook/"
FOUND = {
    "audio_data_hash": "ab" * 32,
    "waveform_data_path": f"waveforms/{STEM_ID}_waveform_2026.json",
    "file_size": 1_024_000,
    "duration": 30.5,
    "sample_rate": 44_100,
    "num_peaks": 4000,
}


def job(
    name: TaskName, kwargs: dict[str, Any], state: State, done: Done | None = None
) -> LibraryJob:
    task = Task(name, kwargs, "{}", "the-id")
    return LibraryJob("j", task, state, CREATED, CREATED).evolve(result=done)


def failed(name: TaskName, kwargs: dict[str, Any]) -> LibraryJob:
    ended = job(name, kwargs, State.FAILED)
    return ended.evolve(error="It is gone.", error_code="object_missing")


def kind(name: TaskName | str, has_dead_letters: bool = False) -> LibraryKind:
    return kinds(RECEIVER, has_dead_letters, 10)[name]


def sent(ended: LibraryJob) -> tuple[str, dict[str, Any]]:
    """Return the URL and the body of the only message about the end of a job."""
    (message,) = kind(ended.request.name).messages(ended, NOW)
    assert message.channel == "library"
    return message.target, json.loads(message.body)


def test_a_hash_asks_whether_it_is_known() -> None:
    done = Done({"audio_hash": "ab" * 32})
    url, body = sent(job(TaskName.HASH, HASH, State.SUCCEEDED, done))
    assert url == "http://10.0.0.5:3000/webhook/hash-check"
    assert body == {**HASH, "audio_hash": "ab" * 32, "status": "hash_generated"}


def test_what_the_message_lacks_is_null() -> None:
    given = {"stemId": STEM_ID, "filepath": "a.wav", "timestamp": None}
    _, body = sent(
        job(TaskName.HASH, given, State.SUCCEEDED, Done({"audio_hash": "a"}))
    )
    assert body == {
        "stemId": STEM_ID,
        "userId": None,
        "trackId": None,
        "filepath": "a.wav",
        "stageId": None,
        "audio_hash": "a",
        "timestamp": None,
        "original_filename": None,
        "status": "hash_generated",
    }


def test_a_deletion_is_confirmed_with_the_ids_and_all_else_null() -> None:
    url, body = sent(job(TaskName.DUPLICATE, DUPLICATE, State.SUCCEEDED, Done()))
    assert url.endswith("/webhook/completion")
    assert body == {
        "stemId": STEM_ID,
        "userId": DUPLICATE["userId"],
        "trackId": DUPLICATE["trackId"],
        "upstreamId": None,
        "status": "SUCCESS",
        "result": None,
        "timestamp": None,
        "original_filename": None,
        "processing_time": None,
        "audio_wave_path": None,
    }


@pytest.mark.parametrize(
    ("given", "told"), [("up-1", "up-1"), ("", None), (None, None)]
)
def test_an_analysis_is_told_in_full(given: str | None, told: str | None) -> None:
    kwargs = {**ANALYSIS, "upstreamId": given}
    done = Done(FOUND, seconds=1.25)
    url, body = sent(job(TaskName.ANALYSIS, kwargs, State.SUCCEEDED, done))
    assert url.endswith("/webhook/completion")
    assert body == {
        "stemId": STEM_ID,
        "userId": ANALYSIS["userId"],
        "trackId": ANALYSIS["trackId"],
        "upstreamId": told,
        "status": "SUCCESS",
        "result": FOUND,
        "timestamp": "2026-01-02T03:04:15.678901Z",
        "original_filename": "킥 드럼.wav",
        "processing_time": 1.25,
        "audio_wave_path": FOUND["waveform_data_path"],
    }


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        (TaskName.HASH, HASH),
        (TaskName.DUPLICATE, DUPLICATE),
        (TaskName.ANALYSIS, ANALYSIS),
    ],
)
def test_a_failure_has_its_reason(name: TaskName, kwargs: dict[str, Any]) -> None:
    url, body = sent(failed(name, kwargs))
    assert url.endswith("/webhook/completion")
    assert body == {
        "stemId": STEM_ID,
        "userId": HASH["userId"],
        "trackId": HASH["trackId"],
        "upstreamId": None,
        "status": "FAILURE",
        "result": {
            "error": "It is gone.",
            "error_message": "It is gone.",
            "error_code": "object_missing",
        },
        "timestamp": "2026-01-02T03:04:15.678901Z",
        "original_filename": kwargs.get("original_filename"),
        "processing_time": 10.0,
        "audio_wave_path": None,
    }


def test_a_mix_is_told() -> None:
    done = Done({"mixed_file_path": "mixed/m.wav", "waveform_data_path": "waveforms/m"})
    url, body = sent(job(TaskName.MIX, MIX, State.SUCCEEDED, done))
    assert url.endswith("/webhook/mixing-complete")
    assert body == {
        "stageId": STAGE_ID,
        "status": "SUCCESS",
        "mixed_file_path": "mixed/m.wav",
        "waveform_data_path": "waveforms/m",
        "upstreamId": None,
        "stem_count": 2,
        "stem_paths": MIX["stem_paths"],
        "task_id": "the-id",
    }


def test_a_mix_that_failed_is_told() -> None:
    url, body = sent(failed(TaskName.MIX, MIX))
    assert url.endswith("/webhook/mixing-complete")
    assert (body["status"], body["waveform_data_path"]) == ("FAILURE", None)
    assert (body["stem_count"], body["stem_paths"]) == (2, MIX["stem_paths"])


def test_operators_tasks_and_rubbish_tell_nobody() -> None:
    for name in (TaskName.CLEANUP, TaskName.HEALTH, ""):
        ended = LibraryJob("j", Task(name), State.FAILED, CREATED, CREATED)
        assert kind(name).messages(ended, NOW) == []


def test_messages_about_one_stem_have_the_same_order() -> None:
    done = Done({"audio_hash": "a"})
    of: dict[TaskName, Message] = {}
    for name, kwargs in ((TaskName.HASH, HASH), (TaskName.DUPLICATE, DUPLICATE)):
        ended = job(name, kwargs, State.SUCCEEDED, done)
        (of[name],) = kind(name).messages(ended, NOW)
    assert of[TaskName.HASH].order_key == of[TaskName.DUPLICATE].order_key
    (mixed,) = kind(TaskName.MIX).messages(failed(TaskName.MIX, MIX), NOW)
    assert mixed.order_key != of[TaskName.HASH].order_key


def test_without_a_receiver_nothing_is_sent() -> None:
    quiet = kinds("", False, 10)[TaskName.HASH]
    assert quiet.messages(failed(TaskName.HASH, HASH), NOW) == []


def test_what_failed_is_a_dead_letter_with_its_message() -> None:
    ended = failed(TaskName.HASH, HASH).evolve(error="gone \x00 \ud800" + "x" * 600)
    _, letter = kind(TaskName.HASH, has_dead_letters=True).messages(ended, NOW)
    stored = json.loads(letter.body)
    assert stored["message"] == "{}"
    attributes = stored["attributes"]
    assert attributes["reason"].startswith("gone \ufffd \ufffdx")
    assert len(attributes["reason"]) == 500
    assert attributes["error_code"] == "object_missing"
    assert (attributes["task"], attributes["job_id"]) == (TaskName.HASH, "j")


def test_the_largest_body_is_below_the_limit_of_its_receiver() -> None:
    paths = [f"{n:05}" for n in range(11_900)]
    task = Task(TaskName.MIX, {**MIX, "stem_paths": paths}, task_id="x" * 100)
    assert not bodies.are_too_large(task)
    done = Done({"mixed_file_path": "m" * 1000, "waveform_data_path": "w" * 1000})
    assert len(bodies.encoded(bodies.mixing(task, done)).encode()) <= 100_000
