import pickle

import pytest

from serve_app.jobs.job import Claim, State
from tests.jobs import RESULT, new_job


@pytest.mark.parametrize(
    ("state", "is_final"),
    [
        (State.QUEUED, False),
        (State.RUNNING, False),
        (State.SUCCEEDED, True),
        (State.FAILED, True),
        (State.CANCELLED, True),
    ],
)
def test_a_final_state_is_one_that_has_ended(state: State, is_final: bool) -> None:
    assert state.is_final is is_final


def test_a_running_job_knows_its_claim() -> None:
    job = new_job("a", owner="me", attempt=2)
    assert job.claim == Claim("a", "me", 2)


def test_a_job_without_owner_has_no_claim() -> None:
    with pytest.raises(ValueError, match="not claimed"):
        _ = new_job().claim


def test_evolving_leaves_the_old_job_as_it_was() -> None:
    job = new_job()
    assert job.evolve(progress=0.5).progress == 0.5
    assert job.progress == 0.0


def test_a_job_travels_between_processes() -> None:
    job = new_job(result=RESULT)
    assert pickle.loads(pickle.dumps(job)) == job  # noqa: S301 — our own bytes
