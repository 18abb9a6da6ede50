"""The lines that tell of jobs in the log: an event, then `key=value`.

Each has `job=` and the job's id, so that one search finds the whole life of a job. What
this module logs is also shown to whoever watches a server in a terminal.
"""

import json
import logging
from collections.abc import Mapping

from serve_app.jobs.job import Claim, Job, Result, State

logger = logging.getLogger(__name__)


def separated(
    job: Job, result: Result, total_seconds: float, steps_seconds: Mapping[str, float]
) -> None:
    """Tell that a job succeeded, how fast it was, and which steps took how long."""
    source = job.source
    speed = source.duration_seconds / max(total_seconds, 0.001)
    steps = "".join(f"{name}={took:.1f}s " for name, took in steps_seconds.items())
    logger.info(
        "song separated job=%s name=%s duration=%.1fs took=%.1fs speed=%.1fx "
        "queued=%.1fs %smodel=%s cache=%s",
        *(job.id, quoted(source.filename), source.duration_seconds, total_seconds),
        *(speed, _queued_seconds(job), steps, result.model, result.cache or "miss"),
    )


def reused(job: Job, result: Result) -> None:
    """Tell that a job succeeded at once, since its stems were there."""
    logger.info(
        "song separated job=%s name=%s duration=%.1fs model=%s cache=%s",
        *(job.id, quoted(job.source.filename), job.source.duration_seconds),
        *(result.model, result.cache),
    )


def ended(job: Job) -> None:
    """Tell that a job failed for good, was cancelled, or waits for its next attempt."""
    event = "handed back" if job.state is State.QUEUED else job.state.value
    logger.info(
        "job %s job=%s name=%s attempt=%d code=%s",
        *(event, job.id, quoted(job.source.filename), job.attempt),
        job.error_code or "-",
    )


def failed(job: Job, claim: Claim, code: str, detail: str) -> None:
    """Tell that an attempt at a job went wrong, which may be tried again."""
    logger.warning(
        "attempt failed job=%s name=%s attempt=%d code=%s error=%s",
        *(job.id, quoted(job.source.filename), claim.attempt, code, quoted(detail)),
    )


def quoted(text: str) -> str:
    """Return a text as one word of a log line, whatever characters it has."""
    return json.dumps(text, ensure_ascii=False)


def _queued_seconds(job: Job) -> float:
    """How long the job waited for the attempt that ended it."""
    started_at = job.started_at or job.created_at
    return (started_at - job.created_at).total_seconds()
