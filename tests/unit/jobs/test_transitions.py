from datetime import timedelta

import pytest

from serve_app.jobs import transitions
from serve_app.jobs.job import State
from serve_app.jobs.kind import Rules
from serve_app.jobs.transitions import Retry
from tests.jobs import NOON, new_job

RUNNING = new_job(state=State.RUNNING, owner="me", attempt=4, failures=1)


@pytest.mark.parametrize(
    ("is_failure", "max_attempts", "state", "failures"),
    [
        (True, 3, State.QUEUED, 2),
        (True, 2, State.FAILED, 2),
        (True, 1, State.FAILED, 2),
        (False, 2, State.QUEUED, 1),
    ],
)
def test_only_failures_count_towards_max_attempts(
    is_failure: bool, max_attempts: int, state: State, failures: int
) -> None:
    retry = Retry("code", "why", is_failure=is_failure, delay_seconds=7)
    rules = Rules(max_attempts=max_attempts, retention_seconds=60)
    changes = transitions.retried(RUNNING, retry, rules, NOON)
    assert changes["state"] == state
    assert changes["failures"] == failures
    assert changes["error"] == "why"
    if state is State.QUEUED:
        assert changes["available_at"] == NOON + timedelta(seconds=7)
    else:
        assert changes["expires_at"] == NOON + timedelta(seconds=60)


def test_a_claim_changes_the_columns_that_it_says() -> None:
    changes = transitions.claimed("you", NOON, NOON + timedelta(seconds=30))
    assert set(changes) == set(transitions.CLAIMED)
    assert changes["owner"] == "you"
    assert changes["started_at"] == NOON
    assert changes["lease_expires_at"] == NOON + timedelta(seconds=30)


@pytest.mark.parametrize("reason", [None, "The disk is full."])
def test_an_abandoned_job_keeps_its_last_error(reason: str | None) -> None:
    changes = transitions.abandoned(RUNNING.evolve(error=reason), NOON)
    assert changes["error"].startswith("Failed after 4 attempts.")
    assert (reason or "stopped during each attempt") in changes["error"]
