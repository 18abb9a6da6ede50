"""The state transitions of a job, each as the columns that it changes."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from serve_app.jobs.codec import to_json
from serve_app.jobs.job import AnyJob, State
from serve_app.jobs.kind import Rules

Changes = dict[str, Any]

# The limit on attempts of a job that are not excused, whether they count as failures
# or not.
MAX_CLAIMS = 10


@dataclass(frozen=True)
class Retry:
    """Why an attempt failed, and how the job is tried again.

    An attempt that is a failure counts towards `Rules.max_attempts`. An excused one
    does not count towards MAX_CLAIMS either: something that every job needs, such as
    the storage, was unavailable.
    """

    error_code: str
    error: str
    is_failure: bool
    run_alone: bool = False
    excused: bool = False
    delay_seconds: float = 0.0


# The columns that a claim sets, besides `attempt`, which it increases by one.
CLAIMED = (
    *("state", "owner", "lease_expires_at"),
    *("started_at", "stage", "progress"),
)


def expiry(rules: Rules, now: datetime) -> datetime | None:
    """Return when a job that ends now expires, or None if it is kept forever."""
    kept = rules.retention_seconds
    return None if kept is None else now + timedelta(seconds=kept)


def claimed(owner: str, now: datetime, lease_expires_at: datetime) -> Changes:
    """Give a job to `owner`; the same statement must increase `attempt`."""
    return {
        "state": State.RUNNING.value,
        "owner": owner,
        "lease_expires_at": lease_expires_at,
        "started_at": now,
        "stage": None,
        "progress": 0.0,
    }


def queued(available_at: datetime) -> Changes:
    """Take a job from its owner; it can be claimed from `available_at` on."""
    return {
        **_free(State.QUEUED),
        "progress": 0.0,
        "available_at": available_at,
    }


def succeeded(result: Any, expires_at: datetime | None) -> Changes:
    """Publish the `result` of a job."""
    return {
        **_free(State.SUCCEEDED),
        "progress": 1.0,
        "result": to_json(result),
        "error": None,
        "error_code": None,
        "expires_at": expires_at,
    }


def failed(error_code: str, error: str, expires_at: datetime | None) -> Changes:
    """Fail a job permanently, with the reason."""
    return {
        **_free(State.FAILED),
        "error": error,
        "error_code": error_code,
        "expires_at": expires_at,
    }


def cancelled(expires_at: datetime | None) -> Changes:
    """End a job that its client cancelled."""
    return {
        **_free(State.CANCELLED),
        "cancel_requested": True,
        "expires_at": expires_at,
    }


def retried(job: AnyJob, retry: Retry, rules: Rules, now: datetime) -> Changes:
    """Queue `job` again, or fail it if it has no attempts left."""
    failures = job.failures + retry.is_failure
    changes: Changes
    if failures >= rules.max_attempts:
        changes = failed(retry.error_code, retry.error, expiry(rules, now))
    else:
        changes = queued(now + timedelta(seconds=retry.delay_seconds))
        changes |= {"error": retry.error, "error_code": retry.error_code}
    return {
        **changes,
        "failures": failures,
        "excused": job.excused + retry.excused,
        "run_alone": retry.run_alone,
    }


def abandoned(job: AnyJob, expires_at: datetime | None) -> Changes:
    """Fail `job` because it was claimed too often; keep its last error."""
    reason = job.error or "The server stopped during each attempt."
    error = f"Failed after {job.attempt} attempts. {reason}"
    return failed(job.error_code or "abandoned", error, expires_at)


def _free(state: State) -> Changes:
    return {
        "state": state.value,
        "stage": None,
        "owner": None,
        "lease_expires_at": None,
        "started_at": None,
        "waits_for": None,
    }
