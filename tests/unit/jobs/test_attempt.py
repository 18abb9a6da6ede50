from dataclasses import replace

import pytest

from serve_app.errors import (
    AppError,
    DatabaseUnavailable,
    FileLost,
    StorageFull,
    StorageUnavailable,
    TryLater,
)
from serve_app.jobs.attempt import REPORT_SECONDS, RunningAttempt, retry_after
from serve_app.jobs.policy import DispatchPolicy
from serve_app.jobs.runner import PoolAway, Progress, ReplicaDied
from serve_app.stems.kind import separation
from serve_app.stems.request import Stage
from tests.jobs import new_job

POLICY = DispatchPolicy(in_flight=4, backoff_seconds=5)
KIND = separation()
DEAD = ReplicaDied("The replica died.")


def attempt(
    job_id: str, replica: str | None = "one", number: int = 1
) -> RunningAttempt:
    found = RunningAttempt(KIND, new_job(job_id, owner="me", attempt=number))
    found.replica = replica
    return found


def test_progress_never_goes_back() -> None:
    mine = attempt("a")
    for stage, fraction in [
        (Stage.SEPARATE, 0.5),
        (Stage.FETCH, 0.4),
        (Stage.SEPARATE, 7.0),
    ]:
        mine.advance(Progress(stage, fraction), 0)
    assert (mine.stage, mine.fraction) == (Stage.SEPARATE, 1.0)


def test_progress_is_reported_now_and_then_and_each_new_stage_at_once() -> None:
    mine = attempt("a")
    steps = [
        (Stage.FETCH, 0.0),
        (Stage.FETCH, REPORT_SECONDS / 2),
        (Stage.SEPARATE, REPORT_SECONDS / 2),
        (Stage.FETCH, REPORT_SECONDS),
        (Stage.SEPARATE, REPORT_SECONDS * 1.6),
    ]
    answers = [mine.advance(Progress(stage, 0.1), now) for stage, now in steps]
    assert answers == [True, False, True, False, True]


@pytest.mark.parametrize(
    "err", [StorageUnavailable("down"), DatabaseUnavailable("away"), PoolAway("gone")]
)
def test_what_is_away_for_all_is_no_ones_fault(err: AppError) -> None:
    mine = attempt("a")
    mine.job = mine.job.evolve(attempt=7)
    retry = retry_after(err, mine, [mine, attempt("b")], POLICY)
    assert (retry.is_failure, retry.excused, retry.delay_seconds) == (False, True, 5)
    assert (retry.error_code, retry.error) == (err.code, err.detail)


def test_what_asked_to_be_left_alone_is_left_alone_for_that_time() -> None:
    mine = attempt("a")
    retry = retry_after(TryLater("busy", 37.0), mine, [mine], POLICY)
    assert (retry.is_failure, retry.excused, retry.delay_seconds) == (False, True, 37.0)


def test_the_death_of_a_replica_is_no_failure_of_kinds_that_say_so() -> None:
    mine = attempt("a")
    mine.kind = replace(KIND, rules=replace(KIND.rules, deaths_are_failures=False))
    retry = retry_after(DEAD, mine, [mine], POLICY)
    assert (retry.is_failure, retry.excused) == (False, False)


@pytest.mark.parametrize("err", [AppError("bug"), FileLost("gone")])
def test_a_failure_counts_and_is_retried_later(err: AppError) -> None:
    mine = attempt("a")
    retry = retry_after(err, mine, [mine, attempt("b")], POLICY)
    assert (retry.is_failure, retry.run_alone, retry.delay_seconds) == (True, False, 5)
    assert (retry.error_code, retry.error) == (err.code, err.detail)


def test_waiting_grows_with_the_attempts_up_to_a_limit() -> None:
    delays = [KIND.rules.delay_seconds(number) for number in (1, 2, 3, 9)]
    assert delays == [5, 20, 80, 300]


def test_a_job_that_was_alone_when_its_replica_died_has_failed() -> None:
    mine = attempt("a")
    retry = retry_after(DEAD, mine, [mine, attempt("b", "two")], POLICY)
    assert (retry.is_failure, retry.run_alone) == (True, True)


def test_jobs_that_shared_a_dead_replica_are_run_alone_without_a_failure() -> None:
    """The second hears of its death when the first is no longer there."""
    first, second = attempt("a"), attempt("b")
    retries = [
        retry_after(DEAD, first, [first, second], POLICY),
        retry_after(DEAD, second, [second], POLICY),
    ]
    assert [(retry.is_failure, retry.run_alone) for retry in retries] == [
        (False, True)
    ] * 2


def test_a_job_that_had_not_started_is_not_suspected() -> None:
    mine, other = attempt("a", None), attempt("b", None)
    retry = retry_after(DEAD, mine, [mine, other], POLICY)
    assert (retry.is_failure, retry.run_alone) == (False, False)
    assert retry.delay_seconds > 0
    other.replica = "one"
    assert retry_after(DEAD, other, [other], POLICY).is_failure


@pytest.mark.parametrize(
    "changes", [{"in_flight": 0}, {"in_flight": 1, "renew_seconds": 30.0}]
)
def test_a_policy_that_can_not_work_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        DispatchPolicy(**changes)  # type: ignore[arg-type]


def test_each_stage_is_timed_and_waiting_for_others_is_none_of_them() -> None:
    mine = attempt("a")
    for stage, now in [
        (Stage.FETCH, 1.0),
        (Stage.SEPARATE, 1.5),
        (Stage.SEPARATE, 4.0),
        (Stage.UPLOAD, 6.5),
    ]:
        mine.advance(Progress(stage, 0.5), now)
    mine.beside_seconds, mine.waited_seconds = {"analyze": 9.0}, 3.0
    mine.finish(10.0)
    assert mine.steps_seconds == {
        "fetch": 0.5,
        "separate": 5.0,
        "upload": 0.5,
        "analyze": 9.0,
    }


def test_a_full_disk_excuses_a_job_that_waits_longer_each_time_and_runs_alone() -> None:
    mine, delays = attempt("a"), []
    for excused in (0, 1, 2, 3, 50):
        mine.job = mine.job.evolve(excused=excused)
        retry = retry_after(StorageFull("full"), mine, [mine], POLICY)
        assert (retry.is_failure, retry.excused, retry.run_alone) == (False, True, True)
        delays.append(retry.delay_seconds)
    assert delays == [5, 10, 20, 40, 40]
