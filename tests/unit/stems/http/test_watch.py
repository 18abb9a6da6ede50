"""Waiting for jobs without polling."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from threading import Condition

import pytest

from serve_app.errors import Unavailable
from serve_app.jobs.job import State
from serve_app.stems.http import watch
from serve_app.stems.http.watch import JobWatch
from serve_app.stems.request import SeparationJob
from tests.jobs import new_job

pytestmark = pytest.mark.anyio

RUNNING = new_job("a", state=State.RUNNING, owner="me", attempt=1)
DONE = RUNNING.evolve(state=State.SUCCEEDED, owner=None)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "POLL_SECONDS", 0.01)


class Database:
    """Answers with what its jobs are, and counts the questions."""

    def __init__(self, *jobs: SeparationJob) -> None:
        self.jobs = {job.id: job for job in jobs}
        self.asked: list[list[str]] = []
        self.is_down = False
        self._was_asked = Condition()

    async def asked_again(self) -> None:
        """Wait until what there is now has been told."""
        count = len(self.asked)
        await asyncio.to_thread(self._wait_for, lambda: len(self.asked) >= count + 2)

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        with self._was_asked:
            assert self._was_asked.wait_for(condition, timeout=10)

    def find(self, job_ids: Collection[str]) -> Mapping[str, SeparationJob]:
        with self._was_asked:
            self.asked.append(sorted(job_ids))
            self._was_asked.notify_all()
        if self.is_down:
            raise Unavailable("no answer")
        return {key: job for key, job in self.jobs.items() if key in job_ids}


async def test_the_answer_comes_when_the_job_is_over() -> None:
    database = Database(RUNNING)
    waiting = asyncio.create_task(JobWatch(database).until_over(RUNNING, 60))
    await database.asked_again()
    assert not waiting.done()
    database.jobs["a"] = DONE
    assert await asyncio.wait_for(waiting, 5) == DONE


async def test_the_answer_comes_when_the_time_is_up() -> None:
    changed = RUNNING.evolve(progress=0.5)
    found = await JobWatch(Database(changed)).until_over(RUNNING, 0.1)
    assert found == changed


async def test_a_cancelled_job_is_over_for_its_client() -> None:
    cancelled = RUNNING.evolve(cancel_requested=True)
    found = await JobWatch(Database(cancelled)).until_over(RUNNING, 60)
    assert found == cancelled


async def test_a_deleted_job_is_told_as_cancelled() -> None:
    cancelled = RUNNING.evolve(cancel_requested=True)
    assert await JobWatch(Database()).until_over(RUNNING, 60) == cancelled


async def test_all_that_wait_cost_one_question_and_nobody_none() -> None:
    jobs = [new_job(name, state=State.RUNNING, owner="me") for name in "abc"]
    database = Database(*jobs)
    watching = JobWatch(database)
    waiting = [asyncio.create_task(watching.until_over(job, 60)) for job in jobs * 2]
    await database.asked_again()
    assert database.asked[-1] == ["a", "b", "c"]
    database.jobs = {job.id: job.evolve(state=State.FAILED) for job in jobs}
    await asyncio.wait_for(asyncio.gather(*waiting), 5)
    count = len(database.asked)
    await asyncio.sleep(0.1)
    assert len(database.asked) <= count + 1
    # It wakes up for the next one.
    again = await asyncio.wait_for(watching.until_over(jobs[0], 60), 5)
    assert again.state is State.FAILED


async def test_a_database_that_is_away_for_a_moment_is_waited_for() -> None:
    database = Database(RUNNING)
    database.is_down = True
    waiting = asyncio.create_task(JobWatch(database).until_over(RUNNING, 60))
    await database.asked_again()
    database.is_down = False
    database.jobs["a"] = DONE
    assert await asyncio.wait_for(waiting, 5) == DONE


async def test_changes_are_told_once_each_and_end_with_the_job() -> None:
    database = Database(RUNNING)
    seen = []

    async def follow() -> None:
        async for job in JobWatch(database).changes(RUNNING):
            seen.append((job.progress, job.cancel_requested))

    following = asyncio.create_task(follow())
    for progress in (0.25, 0.5):
        await database.asked_again()
        database.jobs["a"] = RUNNING.evolve(progress=progress)
    await database.asked_again()
    database.jobs.clear()
    await asyncio.wait_for(following, 5)
    assert seen == [(0.25, False), (0.5, False), (0.5, True)]
