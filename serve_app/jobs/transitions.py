"""The steps a job can take, each as the columns that it changes."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from serve_app.jobs.codec import to_json
from serve_app.jobs.job import AnyJob, State
from serve_app.jobs.kind import Rules

Changes = dict[str, Any]

# Attempts that are not charged are free, but not without end unless they are excused:
# something is wrong by then.
MAX_CLAIMS = 10


@dataclass(frozen=True)
class Retry:
    """Why an attempt ended badly, and how the next one is to be made.

    A charged one counts towards the attempts that a job has. An excused one does not
    even count towards its claims: something was away that every job needs.
    """

    error_code: str
    error: str
    charge: bool
    run_alone: bool = False
    excused: bool = False
    delay_seconds: float = 0.0


# The columns of a claim, beside the fencing number, which goes up by one.
CLAIMED = (
    *("state", "owner", "lease_expires_at"),
    *("started_at", "stage", "progress"),
)


def expiry(rules: Rules, now: datetime) -> datetime | None:
    """Return when a job that ends now is to go; None if it is kept for good."""
    kept = rules.retention_seconds
    return None if kept is None else now + timedelta(seconds=kept)


def claimed(owner: str, now: datetime, lease_expires_at: datetime) -> Changes:
    """Give a job to `owner`; its fencing number must go up with that."""
    return {
        "state": State.RUNNING.value,
        "owner": owner,
        "lease_expires_at": lease_expires_at,
        "started_at": now,
        "stage": None,
        "progress": 0.0,
    }


def queued(available_at: datetime) -> Changes:
    """Take a job from its owner; the next may have it from `available_at` on."""
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
    """End a job for good, and say why."""
    return {
        **_free(State.FAILED),
        "error": error,
        "error_code": error_code,
        "expires_at": expires_at,
    }


def cancelled(expires_at: datetime | None) -> Changes:
    """End a job that its client has given up."""
    return {
        **_free(State.CANCELLED),
        "cancel_requested": True,
        "expires_at": expires_at,
    }


def retried(job: AnyJob, retry: Retry, rules: Rules, now: datetime) -> Changes:
    """Queue `job` again, or fail it when it has had its attempts."""
    failures = job.failures + retry.charge
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
    """Fail `job` because it was claimed too often; its last reason is kept."""
    reason = job.error or "The service stopped each time while it worked on the job."
    error = f"Given up after {job.attempt} attempts. {reason}"
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
