"""Log lines about jobs: an event, then `key=value`.

Each has `job=` and the job's id, so that one search finds all lines of a job. A server
in a terminal also shows the lines of this module to its user, except for `details`.
"""

import json
import logging
from collections.abc import Mapping
from typing import Any

from serve_app.jobs.job import AnyJob, Claim, State
from serve_app.jobs.kind import AnyKind

logger = logging.getLogger(__name__)
details = logging.getLogger(f"{__name__}.details")


def accepted(kind: AnyKind, job: AnyJob) -> None:
    """Log that a job was added, with the id of the request that added it."""
    details.info("job accepted %s", _line({"job": job.id, **_origin(kind, job)}))


def started(kind: AnyKind, job: AnyJob) -> None:
    """Log that a dispatcher claimed a job and starts an attempt at it."""
    fields = {"job": job.id, "attempt": job.attempt, **_origin(kind, job)}
    details.info("job started %s", _line(fields))


def succeeded(
    kind: AnyKind, job: AnyJob, total_seconds: float, steps_seconds: Mapping[str, float]
) -> None:
    """Log that a job succeeded, with the time that it and each of its steps took."""
    fields = {**_name(kind, job), "took": f"{total_seconds:.1f}s"}
    if job.audio_seconds:
        speed = job.audio_seconds / max(total_seconds, 0.001)
        fields["speed"] = f"{speed:.1f}x"
    fields["queued"] = f"{_queued_seconds(job):.1f}s"
    fields |= {name: f"{took:.1f}s" for name, took in steps_seconds.items()}
    fields |= kind.log_fields(job)
    logger.info("%s %s", kind.done_event, _line(fields))


def reused(kind: AnyKind, job: AnyJob) -> None:
    """Log that a job succeeded at once because its result existed already."""
    fields = {**_name(kind, job), **kind.log_fields(job)}
    logger.info("%s %s", kind.done_event, _line(fields))


def ended(kind: AnyKind, job: AnyJob) -> None:
    """Log that a job failed permanently, was cancelled, or was queued again."""
    event = "queued again" if job.state is State.QUEUED else job.state.value
    fields = {
        **_name(kind, job),
        "attempt": job.attempt,
        "code": job.error_code or "-",
    }
    logger.info("job %s %s", event, _line(fields))


def failed(kind: AnyKind, job: AnyJob, claim: Claim, code: str, detail: str) -> None:
    """Log that an attempt at a job failed; the job may be tried again."""
    fields = {
        **_name(kind, job),
        "attempt": claim.attempt,
        "code": code,
        "error": quoted(detail),
    }
    logger.warning("attempt failed %s", _line(fields))


def quoted(text: str) -> str:
    """Return `text` as a quoted value of a log line, special characters escaped."""
    return json.dumps(text, ensure_ascii=False)


def _name(kind: AnyKind, job: AnyJob) -> dict[str, Any]:
    title = kind.title(job)
    named = {"name": quoted(title)} if title else {}
    return {"job": job.id, **named}


def _origin(kind: AnyKind, job: AnyJob) -> dict[str, Any]:
    request = {"request": job.request_id} if job.request_id else {}
    return {"kind": kind.name, **request}


def _line(fields: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in fields.items())


def _queued_seconds(job: AnyJob) -> float:
    """Return how long the job waited for the attempt that ended it."""
    started_at = job.started_at or job.created_at
    return max(0.0, (started_at - job.created_at).total_seconds())
