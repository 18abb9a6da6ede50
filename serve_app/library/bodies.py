"""The bodies of the library's webhooks, field by field as its receivers read them."""

import json
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from serve_app.library import keys
from serve_app.library.task import Done, LibraryJob, Task

# What the body parser of the receivers takes by default.
MOST_BYTES = 100_000
# All of a body but what it echoes, at most.
_OWN_BYTES = 4_000
_LONGEST_ERROR = 500


class Route(StrEnum):
    """Where a message is sent, below the base URL."""

    HASH_CHECK = "hash-check"
    COMPLETION = "completion"
    MIXING_COMPLETE = "mixing-complete"


class Status(StrEnum):
    """How a task ended; anything else reads as a failure."""

    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"


Body = Mapping[str, Any]


def hash_check(task: Task, done: Done) -> Body:
    """Return the body that asks whether a hash is known."""
    return {
        "stemId": task.kwargs.get("stemId"),
        "userId": task.kwargs.get("userId"),
        "trackId": task.kwargs.get("trackId"),
        "filepath": task.kwargs.get("filepath"),
        "stageId": task.kwargs.get("stageId"),
        "audio_hash": done.fields["audio_hash"],
        "timestamp": task.kwargs.get("timestamp"),
        "original_filename": task.kwargs.get("original_filename"),
        "status": "hash_generated",
    }


def deletion(task: Task) -> Body:
    """Return the body that confirms a deletion: the ids, and all else null."""
    return {
        "stemId": task.kwargs.get("stemId"),
        "userId": task.kwargs.get("userId"),
        "trackId": task.kwargs.get("trackId"),
        "upstreamId": None,
        "status": Status.SUCCESS,
        "result": None,
        "timestamp": None,
        "original_filename": None,
        "processing_time": None,
        "audio_wave_path": None,
    }


def completion(task: Task, done: Done, now: datetime) -> Body:
    """Return the body with the result of an analysis, or of a duplicate's original."""
    result: dict[str, Any] = dict(done.fields)
    if done.duplicate_of is not None:
        result |= {"is_duplicate": True, "duplicate_of": dict(done.duplicate_of)}
    return {
        **_completion(task, Status.SUCCESS, now, done.seconds),
        "result": result,
        "audio_wave_path": result.get("waveform_data_path"),
    }


def failure(job: LibraryJob, now: datetime) -> Body:
    """Return the body of a failed hash, deletion or analysis."""
    seconds = (now - job.created_at).total_seconds()
    error = (job.error or "The task failed.")[:_LONGEST_ERROR]
    return {
        **_completion(job.request, Status.FAILURE, now, seconds),
        "result": {
            "error": error,
            "error_message": error,
            "error_code": job.error_code or "internal_error",
        },
        "audio_wave_path": None,
    }


def _completion(
    task: Task, status: Status, now: datetime, seconds: float
) -> dict[str, Any]:
    return {
        "stemId": task.kwargs.get("stemId"),
        "userId": task.kwargs.get("userId"),
        "trackId": task.kwargs.get("trackId"),
        # It names the table that has the stem: "" would be one.
        "upstreamId": task.kwargs.get("upstreamId") or None,
        "status": status,
        "result": None,
        "timestamp": keys.time_of(now),
        "original_filename": task.kwargs.get("original_filename"),
        "processing_time": round(seconds, 3),
        "audio_wave_path": None,
    }


def mixing(task: Task, done: Done | None) -> Body:
    """Return the body about a mix; without `done` it has failed."""
    found = {} if done is None else done.fields
    return {
        "stageId": task.kwargs.get("stageId"),
        "status": Status.FAILURE if done is None else Status.SUCCESS,
        "mixed_file_path": found.get("mixed_file_path"),
        "waveform_data_path": found.get("waveform_data_path"),
        "upstreamId": task.kwargs.get("upstreamId") or None,
        "stem_count": len(task.stem_paths),
        "stem_paths": task.kwargs["stem_paths"],
        "task_id": task.task_id,
    }


def are_too_large(task: Task) -> bool:
    """Return whether the webhooks of a task could have more than `MOST_BYTES`."""
    echoed = encoded({**task.kwargs, "task_id": task.task_id})
    return len(echoed.encode()) + _OWN_BYTES > MOST_BYTES


def encoded(body: Body) -> str:
    """Return a body as JSON."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))
