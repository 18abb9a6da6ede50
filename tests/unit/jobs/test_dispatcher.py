"""The dispatcher on a real database, with workers that do what a test tells them."""

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from serve_app.database import Database
from serve_app.errors import (
    Cancelled,
    DatabaseUnavailable,
    FileLost,
    StorageFull,
    Unavailable,
    UnreadableAudio,
)
from serve_app.jobs.attempt import AttemptEnd, Outcome
from serve_app.jobs.dispatcher import Dispatcher, DispatchPolicy, Hooks
from serve_app.jobs.job import State
from serve_app.jobs.kind import Rules
from serve_app.jobs.runner import Finished, Progress, ReplicaDied, RunnerEvent, Started
from serve_app.jobs.store import JobStore
from serve_app.stems.kind import separation
from serve_app.stems.request import Result, SeparationJob, SeparationRequest, Stage
from tests.jobs import NOON, RESULT, ManualClock, SongStore, new_job, new_store, stored

PATIENCE_SECONDS = 30.0

KIND = separation(Rules(retry_seconds=(0.0,)))

Script = Callable[[SeparationJob], AsyncGenerator[RunnerEvent, None]]


@pytest.fixture
def store(database: Database, clock: ManualClock) -> SongStore:
    """What has failed is tried again at once."""
    return JobStore(database, clock, KIND)


class Workers:
    """A pool whose jobs follow a script; it remembers what ran, and beside what."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.running: list[str] = []
        self.starts: list[str] = []
        self.company: list[set[str]] = []
        self.cleaned_up: list[str] = []

    async def __call__(self, job: SeparationJob) -> AsyncGenerator[RunnerEvent, None]:
        """Yield the events of the script."""
        self.running.append(job.id)
        self.starts.append(job.id)
        self.company.append(set(self.running))
        try:
            async for event in self._script(job):
                yield event
        finally:
            self.running.remove(job.id)
            self.cleaned_up.append(job.id)


async def succeed(job: SeparationJob) -> AsyncGenerator[RunnerEvent, None]:
    yield Started("one")
    yield Progress(Stage.SEPARATE, 0.5)
    yield Finished(RESULT)


async def hang(job: SeparationJob) -> AsyncGenerator[RunnerEvent, None]:
    yield Started("one")
    yield Progress(Stage.SEPARATE, 0.25)
    await asyncio.Event().wait()


def failing(err: Exception) -> Script:
    async def fail(job: SeparationJob) -> AsyncGenerator[RunnerEvent, None]:
        yield Started("one")
        raise err

    return fail


def policy(**changes: Any) -> DispatchPolicy:
    usual = {
        "in_flight": 2,
        "lease_seconds": 30,
        "renew_seconds": 0.05,
        "poll_seconds": 0.01,
        "backoff_seconds": 0.0,
    }
    return DispatchPolicy(**{**usual, **changes})


@asynccontextmanager
async def dispatching(dispatcher: Dispatcher) -> AsyncGenerator[None, None]:
    loop = asyncio.create_task(dispatcher.run_forever())
    try:
        yield
        assert not loop.done(), "the loop has ended by itself"
    finally:
        await dispatcher.shutdown()
        await loop


async def until(is_true: Callable[[], Any]) -> None:
    """Wait for `is_true`, which may ask the database."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        # A database tells nobody when it changes.
        while not await asyncio.to_thread(is_true):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def is_in(store: SongStore, state: State, *job_ids: str) -> Callable[[], bool]:
    return lambda: all(store.get(job_id).state is state for job_id in job_ids)


def add(store: SongStore, *job_ids: str) -> None:
    for job_id in job_ids:
        store.add(new_job(job_id))


async def run_until(dispatcher: Dispatcher, is_true: Callable[[], Any]) -> None:
    async with dispatching(dispatcher):
        await until(is_true)


def test_jobs_run_and_their_results_are_published(store: SongStore) -> None:
    add(store, *"abcde")
    workers = Workers(succeed)
    dispatcher = Dispatcher(store, workers, "me", policy())
    asyncio.run(run_until(dispatcher, is_in(store, State.SUCCEEDED, *"abcde")))
    assert sorted(workers.starts) == list("abcde")
    assert store.get("a").result == RESULT
    assert sorted(workers.cleaned_up) == list("abcde")


def test_a_job_is_taken_up_at_once_when_told_of(store: SongStore) -> None:
    async def scenario() -> None:
        patient = policy(poll_seconds=10 * PATIENCE_SECONDS)
        dispatcher = Dispatcher(store, Workers(succeed), "me", patient)
        async with dispatching(dispatcher):
            store.add(new_job("a"))
            dispatcher.wake()
            await until(is_in(store, State.SUCCEEDED, "a"))
            store.add(new_job("b"))
            dispatcher.wake()
            await until(is_in(store, State.SUCCEEDED, "b"))

    asyncio.run(scenario())


def test_long_songs_leave_room_for_short_ones_and_for_other_clients(
    store: SongStore,
) -> None:
    def add_song(job_id: str, client: str, minutes: int) -> None:
        cost_seconds = 60.0 * minutes
        store.add(new_job(job_id, client=client, cost_seconds=cost_seconds))

    async def scenario() -> None:
        fair = policy(in_flight=6, share_limit=3)
        workers = Workers(hang)
        dispatcher = Dispatcher(store, workers, "me", fair)
        async with dispatching(dispatcher):
            for number in range(4):
                add_song(f"a{number}", "a", 120)
            await until(is_in(store, State.RUNNING, "a0", "a1"))
            add_song("b0", "b", 120)
            add_song("b1", "b", 120)
            add_song("c0", "c", 10)
            await until(is_in(store, State.RUNNING, "b0", "c0"))
            await asyncio.sleep(0.1)
            assert sorted(workers.running) == ["a0", "a1", "b0", "c0"]

    asyncio.run(scenario())


def test_one_clients_songs_leave_room_for_others(store: SongStore) -> None:
    async def scenario() -> None:
        workers = Workers(hang)
        fair = policy(in_flight=4, share_limit=3)
        dispatcher = Dispatcher(store, workers, "me", fair)
        for number in range(5):
            store.add(new_job(f"a{number}", client="a"))
        async with dispatching(dispatcher):
            await until(is_in(store, State.RUNNING, "a0", "a1", "a2"))
            await asyncio.sleep(0.1)
            store.add(new_job("b0", client="b"))
            await until(is_in(store, State.RUNNING, "b0"))
            assert sorted(workers.running) == ["a0", "a1", "a2", "b0"]

    asyncio.run(scenario())


def test_no_more_jobs_run_than_fit(store: SongStore) -> None:
    add(store, *"abcde")

    gate = asyncio.Event()

    async def wait(job: SeparationJob) -> AsyncGenerator[RunnerEvent, None]:
        await gate.wait()
        yield Finished(RESULT)

    workers = Workers(wait)
    dispatcher = Dispatcher(store, workers, "me", policy(in_flight=2))

    async def open_the_gate() -> None:
        async with dispatching(dispatcher):
            await until(lambda: len(workers.running) == 2)
            await asyncio.sleep(0.1)
            assert workers.starts == ["a", "b"]
            gate.set()
            await until(is_in(store, State.SUCCEEDED, *"abcde"))

    asyncio.run(open_the_gate())
    assert max(map(len, workers.company)) == 2


def test_progress_is_seen_while_a_job_runs(store: SongStore) -> None:
    add(store, "a")
    dispatcher = Dispatcher(store, Workers(hang), "me", policy())
    asyncio.run(run_until(dispatcher, lambda: store.get("a").progress == 0.25))
    assert dispatcher.status()["running"] == 0


def test_leases_are_renewed_while_a_job_runs(
    store: SongStore, clock: ManualClock
) -> None:
    add(store, "a")
    dispatcher = Dispatcher(store, Workers(hang), "me", policy())

    async def outlive_the_lease() -> None:
        async with dispatching(dispatcher):
            await until(is_in(store, State.RUNNING, "a"))
            for _ in range(4):
                clock.advance(20)
                await until(lambda: lease_seconds_left(store, clock) == 30)
            assert store.get("a").attempt == 1

    asyncio.run(outlive_the_lease())


def test_a_cancelled_job_is_stopped_at_once_when_told_of(store: SongStore) -> None:
    add(store, "a", "b")
    workers = Workers(hang)
    dispatcher = Dispatcher(store, workers, "me", policy(renew_seconds=20.0))

    async def cancel() -> None:
        async with dispatching(dispatcher):
            await until(is_in(store, State.RUNNING, "a", "b"))
            await asyncio.to_thread(store.cancel, "a")
            dispatcher.stop("a")
            await until(is_in(store, State.CANCELLED, "a"))
            assert workers.cleaned_up == ["a"]

    asyncio.run(cancel())
    assert workers.starts == ["a", "b"]


def lease_seconds_left(store: SongStore, clock: ManualClock) -> float:
    ends = store.get("a").lease_expires_at
    return (ends - clock.now).total_seconds() if ends else 0.0


@pytest.mark.parametrize("renew_seconds", [0.05, 20.0])
def test_a_cancelled_job_is_stopped(store: SongStore, renew_seconds: float) -> None:
    """By the next renewal, or sooner by the next progress."""
    add(store, "a")

    async def busy(job: SeparationJob) -> AsyncGenerator[RunnerEvent, None]:
        while True:
            yield Progress(Stage.SEPARATE, 0.1)
            await asyncio.sleep(0.01)

    workers = Workers(hang if renew_seconds < 1 else busy)
    dispatcher = Dispatcher(store, workers, "me", policy(renew_seconds=renew_seconds))

    async def cancel() -> None:
        async with dispatching(dispatcher):
            await until(is_in(store, State.RUNNING, "a"))
            await asyncio.to_thread(store.cancel, "a")
            await until(is_in(store, State.CANCELLED, "a"))
            assert workers.cleaned_up == ["a"]

    asyncio.run(cancel())
    assert workers.starts == ["a"]


def test_a_job_whose_lease_is_lost_is_stopped_and_left_alone(
    store: SongStore, clock: ManualClock
) -> None:
    add(store, "a")
    workers = Workers(hang)
    dispatcher = Dispatcher(store, workers, "me", policy(in_flight=1))

    def steal() -> None:
        clock.advance(31)
        store.claim("thief", lease_seconds=1e6, include_alone=True)

    async def lose() -> None:
        async with dispatching(dispatcher):
            await until(lambda: store.get("a").progress == 0.25)
            while store.get("a").owner != "thief":
                await asyncio.to_thread(steal)
            await until(lambda: workers.cleaned_up == ["a"])

    asyncio.run(lose())
    assert (store.get("a").owner, store.get("a").attempt) == ("thief", 2)


def test_what_can_not_be_done_is_failed_at_once(store: SongStore) -> None:
    add(store, "a")
    workers = Workers(failing(UnreadableAudio("This is no audio: send an mp3.")))
    dispatcher = Dispatcher(store, workers, "me", policy())
    asyncio.run(run_until(dispatcher, is_in(store, State.FAILED, "a")))
    job = store.get("a")
    assert (job.attempt, job.error_code) == (1, "unreadable_audio")
    assert job.error == "This is no audio: send an mp3."


def test_what_may_pass_is_tried_again_and_then_failed_with_its_reason(
    store: SongStore,
) -> None:
    add(store, "a")
    workers = Workers(failing(FileLost("It is not there.")))
    dispatcher = Dispatcher(store, workers, "me", policy())
    asyncio.run(run_until(dispatcher, is_in(store, State.FAILED, "a")))
    job = store.get("a")
    assert (job.attempt, job.failures) == (3, 3)
    assert (job.error_code, job.error) == ("file_lost", "It is not there.")


def test_a_failed_attempt_is_not_repeated_at_once(
    database: Database, clock: ManualClock
) -> None:
    store = new_store(database, clock, retry_seconds=(5.0,))
    add(store, "a")
    workers = Workers(failing(FileLost("down")))
    dispatcher = Dispatcher(store, workers, "me", policy(backoff_seconds=5))

    async def wait() -> None:
        async with dispatching(dispatcher):
            await until(lambda: store.get("a").failures == 1)
            await asyncio.sleep(0.1)
            assert workers.starts == ["a"]
            clock.advance(5)
            await until(lambda: store.get("a").failures == 2)

    asyncio.run(wait())


@pytest.mark.parametrize("ends_early", [True, False])
def test_what_nobody_expected_is_logged_and_not_shown_to_clients(
    database: Database,
    clock: ManualClock,
    caplog: pytest.LogCaptureFixture,
    ends_early: bool,
) -> None:
    store = new_store(database, clock, max_attempts=1)
    add(store, "a")

    async def break_down(job: SeparationJob) -> AsyncGenerator[RunnerEvent, None]:
        yield Started("one")
        if not ends_early:
            raise KeyError("secret of ours")

    dispatcher = Dispatcher(store, Workers(break_down), "me", policy())
    with caplog.at_level(logging.ERROR):
        asyncio.run(run_until(dispatcher, is_in(store, State.FAILED, "a")))
    job = store.get("a")
    assert job.error_code == "internal_error"
    assert "Send it again" in str(job.error)
    reason = "without a result" if ends_early else "secret of ours"
    assert reason in caplog.text
    assert "Traceback" in caplog.text


def test_after_a_crash_with_several_jobs_only_the_cause_has_a_failure(
    database: Database, clock: ManualClock
) -> None:
    """One poisonous song among three, on a replica that it kills each time.

    The fourth, which came later, is kept out of its way.
    """
    store = new_store(database, clock, max_attempts=2, retry_seconds=(0.0,))
    add(store, "good", "poison", "well")
    store.add(new_job("young", created_at=NOON + timedelta(hours=1)))
    together = asyncio.Barrier(3)

    async def on_one_replica(job: SeparationJob) -> AsyncGenerator[RunnerEvent, None]:
        is_first = job.attempt == 1 and job.id != "young"
        yield Started("first" if is_first else f"replaced after {job.id}")
        if is_first:
            await together.wait()
        await asyncio.sleep(0.1)  # long enough for others to join, if they may
        if is_first or job.id == "poison":
            raise ReplicaDied("The replica died.")
        yield Finished(RESULT)

    workers = Workers(on_one_replica)
    dispatcher = Dispatcher(store, workers, "me", policy(in_flight=3))

    def all_ended() -> bool:
        return all(job.state.is_final for job in stored(database))

    asyncio.run(run_until(dispatcher, all_ended))
    ends = {job.id: (job.state, job.failures) for job in stored(database)}
    assert ends == {
        "good": (State.SUCCEEDED, 0),
        "well": (State.SUCCEEDED, 0),
        "young": (State.SUCCEEDED, 0),
        "poison": (State.FAILED, 2),
    }
    assert workers.company[2] == {"good", "poison", "well"}
    assert all(len(company) == 1 for company in workers.company[3:])


def test_shutdown_releases_unfinished_jobs_without_a_failure(
    database: Database, store: SongStore
) -> None:
    add(store, *"abc")
    workers = Workers(hang)
    first = Dispatcher(store, workers, "first", policy())
    asyncio.run(run_until(first, lambda: len(workers.running) == 2))
    assert first.status()["stopping"]
    assert sorted(workers.cleaned_up) == ["a", "b"]
    assert {job.state for job in stored(database)} == {State.QUEUED}
    assert {job.failures for job in stored(database)} == {0}
    second = Dispatcher(store, Workers(succeed), "second", policy())
    asyncio.run(run_until(second, is_in(store, State.SUCCEEDED, *"abc")))


def test_a_cancelled_loop_hands_its_jobs_back_too(store: SongStore) -> None:
    add(store, "a")
    workers = Workers(hang)
    dispatcher = Dispatcher(store, workers, "me", policy())

    async def cancel() -> None:
        loop = asyncio.create_task(dispatcher.run_forever())
        await until(lambda: workers.running)
        loop.cancel()
        await asyncio.wait([loop])
        await dispatcher.shutdown()

    asyncio.run(cancel())
    assert store.get("a").state is State.QUEUED


class SlowStore(JobStore[SeparationRequest, Result]):
    """A store whose answers to claims are long under way."""

    def __init__(self, database: Database, clock: ManualClock) -> None:
        super().__init__(database, clock, KIND)
        self.has_claimed = threading.Event()
        self.may_answer = threading.Event()

    def claim(self, owner: str, **options: Any) -> list[SeparationJob]:
        """Claim, and answer when that is allowed."""
        found = super().claim(owner, **options)
        self.has_claimed.set()
        self.may_answer.wait(PATIENCE_SECONDS)
        return found


def test_a_job_that_is_being_claimed_at_the_end_is_handed_back(
    database: Database, clock: ManualClock
) -> None:
    slow = SlowStore(database, clock)
    add(slow, "a")
    dispatcher = Dispatcher(slow, Workers(hang), "me", policy())

    async def cancel() -> None:
        loop = asyncio.create_task(dispatcher.run_forever())
        await until(slow.has_claimed.is_set)
        loop.cancel()
        await asyncio.sleep(0.05)
        slow.may_answer.set()
        await asyncio.wait([loop])

    asyncio.run(cancel())
    assert slow.get("a").state is State.QUEUED


def test_shutdown_before_the_start_is_fine(store: SongStore) -> None:
    add(store, "a")
    dispatcher = Dispatcher(store, Workers(succeed), "me", policy())

    async def shut_down_first() -> None:
        await dispatcher.shutdown()
        await dispatcher.run_forever()

    asyncio.run(shut_down_first())
    assert store.get("a").state is State.QUEUED


def test_work_that_cancels_itself_is_done_again(store: SongStore) -> None:
    """A replica that is drained stops its songs, though no client asked for that."""
    add(store, "a")

    async def drained_once(job: SeparationJob) -> AsyncGenerator[RunnerEvent, None]:
        if job.attempt == 1:
            raise Cancelled("The replica stops.")
        yield Finished(RESULT)

    dispatcher = Dispatcher(store, Workers(drained_once), "me", policy())
    asyncio.run(run_until(dispatcher, is_in(store, State.SUCCEEDED, "a")))
    assert (store.get("a").attempt, store.get("a").failures) == (2, 0)


class FlakyStore(JobStore[SeparationRequest, Result]):
    """A store that is down now and then, and says so."""

    down_for = 0

    def _fail(self) -> None:
        if self.down_for:
            self.down_for -= 1
            raise Unavailable("The job database does not answer.")

    def claim(self, owner: str, **options: Any) -> list[SeparationJob]:
        """Claim, or fail."""
        self._fail()
        return super().claim(owner, **options)

    def report(self, *args: Any) -> bool:
        """Report, or fail."""
        self._fail()
        return super().report(*args)

    def succeed(self, *args: Any) -> SeparationJob:
        """Succeed, or fail."""
        self._fail()
        return super().succeed(*args)


@pytest.fixture
def flaky(database: Database, clock: ManualClock) -> FlakyStore:
    return FlakyStore(database, clock, KIND)


def test_a_database_that_is_down_does_not_end_the_loop(flaky: FlakyStore) -> None:
    flaky.down_for = 1_000_000
    add(flaky, "a")
    dispatcher = Dispatcher(flaky, Workers(succeed), "me", policy())

    async def recover() -> None:
        async with dispatching(dispatcher):
            await until(lambda: dispatcher.status()["trouble"])
            flaky.down_for = 0
            await until(is_in(flaky, State.SUCCEEDED, "a"))
            await until(lambda: dispatcher.status()["trouble"] is None)

    asyncio.run(recover())
    assert flaky.get("a").attempt == 1


@pytest.mark.parametrize("before", ["progress", "result"])
def test_a_result_is_not_lost_when_the_database_is_down_for_a_moment(
    flaky: FlakyStore, before: str
) -> None:
    add(flaky, "a")

    async def during_an_outage(job: SeparationJob) -> AsyncGenerator[RunnerEvent, None]:
        if before == "progress":
            flaky.down_for = 1
        yield Progress(Stage.SEPARATE, 0.5)
        if before == "result":
            flaky.down_for = 3
        yield Finished(RESULT)

    dispatcher = Dispatcher(flaky, Workers(during_an_outage), "me", policy(in_flight=1))
    asyncio.run(run_until(dispatcher, is_in(flaky, State.SUCCEEDED, "a")))
    assert flaky.get("a").attempt == 1


def test_what_another_job_has_made_is_not_made_again(store: SongStore) -> None:
    add(store, "a", "b")
    workers = Workers(succeed)
    found = replace(RESULT, cache="hit")
    dispatcher = Dispatcher(
        *(store, workers, "me", policy()),
        Hooks(reuse=lambda job: found if job.id == "b" else None),
    )
    asyncio.run(run_until(dispatcher, is_in(store, State.SUCCEEDED, "a", "b")))
    assert (store.get("a").result, store.get("b").result) == (RESULT, found)
    assert workers.starts == ["a"]


def test_a_result_waits_for_a_database_that_is_away_for_long(
    store: SongStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store, "a")
    tries, succeed_now = [], store.succeed

    def away(*args: Any) -> SeparationJob:
        tries.append(1)
        if len(tries) < 20:
            raise DatabaseUnavailable("Its disk is full.")
        return succeed_now(*args)

    monkeypatch.setattr(store, "succeed", away)
    workers = Workers(succeed)
    dispatcher = Dispatcher(store, workers, "me", policy())
    asyncio.run(run_until(dispatcher, is_in(store, State.SUCCEEDED, "a")))
    assert workers.starts == ["a"]


def test_files_of_a_job_that_ended_without_a_result_go_at_once(
    store: SongStore,
) -> None:
    """Those of one that is tried again stay."""
    add(store, *"abc")
    discarded: list[str] = []

    async def script(job: SeparationJob) -> AsyncGenerator[RunnerEvent, None]:
        yield Started("one")
        if job.id == "a":
            raise UnreadableAudio("noise")
        if job.id == "b" and job.attempt == 1:
            raise StorageFull("full")
        yield Finished(RESULT)

    dispatcher = Dispatcher(
        store,
        Workers(script),
        "me",
        policy(),
        Hooks(discard=lambda job: discarded.append(job.id)),
    )

    def are_over() -> bool:
        done = is_in(store, State.SUCCEEDED, "b", "c")
        return done() and store.get("a").state is State.FAILED and bool(discarded)

    asyncio.run(run_until(dispatcher, are_over))
    assert discarded == ["a"]
    assert (store.get("b").failures, store.get("b").excused) == (0, 1)


def ends_of(store: SongStore, script: Script, is_true: Callable[[], Any]) -> list[Any]:
    """Run jobs until something is true; return how their attempts ended."""
    ends: list[AttemptEnd] = []
    dispatcher = Dispatcher(
        *(store, Workers(script), "me", policy()), Hooks(on_end=ends.append)
    )
    asyncio.run(run_until(dispatcher, is_true))
    return ends


def test_a_success_is_reported_with_its_audio_and_its_stages(store: SongStore) -> None:
    store.add(new_job("a", audio_seconds=180.0))
    [end] = ends_of(store, succeed, is_in(store, State.SUCCEEDED, "a"))
    assert (end.kind, end.outcome, end.reason) == ("separation", "succeeded", "")
    assert end.audio_seconds == 180.0
    assert list(end.steps_seconds) == ["separate"]


def test_a_failure_is_reported_with_its_reason(store: SongStore) -> None:
    add(store, "a")
    script = failing(UnreadableAudio("noise"))
    [end] = ends_of(store, script, is_in(store, State.FAILED, "a"))
    assert end == AttemptEnd("separation", Outcome.FAILED, "unreadable_audio")


def test_each_attempt_is_reported_and_only_the_last_one_has_failed(
    store: SongStore,
) -> None:
    add(store, "a")
    ends = ends_of(store, failing(FileLost("gone")), is_in(store, State.FAILED, "a"))
    outcomes = [(end.outcome, end.reason) for end in ends]
    retried, failed = (Outcome.RETRIED, "file_lost"), (Outcome.FAILED, "file_lost")
    assert outcomes == [retried, retried, failed]


def test_a_result_of_another_job_counts_no_audio(store: SongStore) -> None:
    store.add(new_job("a", audio_seconds=180.0))
    ends: list[AttemptEnd] = []
    hooks = Hooks(reuse=lambda _: RESULT, on_end=ends.append)
    dispatcher = Dispatcher(store, Workers(hang), "me", policy(), hooks)
    asyncio.run(run_until(dispatcher, is_in(store, State.SUCCEEDED, "a")))
    assert ends == [AttemptEnd("separation", Outcome.SUCCEEDED)]


def test_a_job_that_is_handed_back_is_no_failure(store: SongStore) -> None:
    add(store, "a")
    [end] = ends_of(store, hang, lambda: store.get("a").stage == Stage.SEPARATE)
    assert end == AttemptEnd("separation", Outcome.RETRIED)


def test_a_job_that_another_dispatcher_has_is_lost(
    store: SongStore, clock: ManualClock
) -> None:
    add(store, "a")

    def is_taken() -> bool:
        if store.get("a").stage != Stage.SEPARATE:
            return False
        clock.advance(60)
        claimed = store.claim("other", lease_seconds=600, include_alone=True)
        return bool(claimed)

    [end] = ends_of(store, hang, is_taken)
    assert end == AttemptEnd("separation", Outcome.LOST)


def test_an_attempt_runs_and_ends_in_the_context_of_its_start(
    store: SongStore,
) -> None:
    """A trace is passed on by it, and to the worker by the job."""
    attempt: ContextVar[str] = ContextVar("attempt", default="none")
    seen: list[tuple[str, str | None]] = []

    @contextmanager
    def on_start(job: SeparationJob) -> Iterator[SeparationJob]:
        token = attempt.set(f"{job.id}{job.attempt}")
        yield job.evolve(traceparent=f"of {job.id}")
        attempt.reset(token)

    async def work(job: SeparationJob) -> AsyncGenerator[RunnerEvent, None]:
        seen.append((attempt.get(), job.traceparent))
        yield Started("one")
        yield Finished(RESULT)

    hooks = Hooks(
        reuse=lambda job: seen.append((attempt.get(), job.traceparent)),
        on_start=on_start,
        on_end=lambda end: seen.append((attempt.get(), end.outcome)),
    )
    store.add(new_job("a", traceparent="of the request"))
    dispatcher = Dispatcher(store, work, "me", policy(), hooks)
    asyncio.run(run_until(dispatcher, lambda: len(seen) == 3))
    assert seen == [("a1", "of a"), ("a1", "of a"), ("a1", Outcome.SUCCEEDED)]
    assert store.get("a").traceparent == "of the request"
