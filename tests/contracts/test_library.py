"""Messages become jobs once, on every database."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from serve_app.database import Database
from serve_app.errors import JobNotFound, QueueFull
from serve_app.jobs.job import State
from serve_app.jobs.store import JobStore
from serve_app.jobs.transitions import Retry
from serve_app.library.arrivals import Arrivals
from serve_app.library.dead_letters import DeadLetters
from serve_app.library.errors import NotATask
from serve_app.library.kinds import KEPT_SECONDS, kinds
from serve_app.library.known_files import KnownFiles
from serve_app.library.task import Done, LibraryJob, Task, TaskName
from serve_app.webhooks.delivery import Attempt
from serve_app.webhooks.outbox import Outbox
from tests.jobs import ManualClock
from tests.library import HASH, MIX, RUBBISH, message

TASK = message(TaskName.HASH, HASH)
MAX_QUEUED = 5


@dataclass
class Library:
    """The library on a database, with its clock."""

    database: Database
    clock: ManualClock

    def __post_init__(self) -> None:
        self.outbox = Outbox(self.database, self.clock)
        made = kinds("http://receiver/webhook", True, MAX_QUEUED)
        self.stores = {
            name: JobStore(self.database, self.clock, kind, self.outbox.post)
            for name, kind in made.items()
        }
        self.arrivals = Arrivals(self.stores, self.clock)
        self.letters = DeadLetters(self.stores, self.outbox, self.clock)

    def jobs(self) -> int:
        return sum(sum(store.counts().values()) for store in self.stores.values())

    def claimed(self, name: TaskName = TaskName.HASH) -> LibraryJob:
        (job,) = self.stores[name].claim("me", lease_seconds=30, include_alone=True)
        return job

    def fail(self, name: TaskName = TaskName.HASH) -> LibraryJob:
        """Fail the next job of a task for ever."""
        return self.stores[name].fail(self.claimed(name).claim, "a_code", "It is so.")

    def sent(self, channel: str) -> list[Any]:
        found = []
        while delivery := self.outbox.claim(60.0, channel=channel):
            found.append(delivery)
        return found


@pytest.fixture
def library(database_url: str, clock: ManualClock) -> Iterator[Library]:
    with Database(database_url) as database:
        yield Library(database, clock)


def test_a_message_becomes_a_job(library: Library) -> None:
    job_id = library.arrivals.take(TASK, "sqs-1")
    job = library.claimed()
    assert (job.id, job.request.kwargs, job.request.message) == (job_id, HASH, TASK)


@pytest.mark.parametrize(
    "text", [TASK, RUBBISH["not json"], message("health_check", {})]
)
def test_a_message_that_comes_again_is_the_same_job(
    library: Library, text: str
) -> None:
    ids = {library.arrivals.take(text, "sqs-1") for _ in range(5)}
    assert len(ids) == library.jobs() == 1


def test_it_is_the_same_when_its_job_has_ended_and_expired(library: Library) -> None:
    first = library.arrivals.take(TASK, "sqs-1")
    store = library.stores[TaskName.HASH]
    store.succeed(library.claimed().claim, Done({"audio_hash": "a"}))
    assert library.arrivals.take(TASK, "sqs-1") == first
    store.remove(first)
    assert library.arrivals.take(TASK, "sqs-1") == first
    assert library.jobs() == 0
    assert len(library.sent("library")) == 1


def test_after_fourteen_days_it_is_another_one(
    library: Library, clock: ManualClock
) -> None:
    first = library.arrivals.take(TASK, "sqs-1")
    clock.advance(KEPT_SECONDS + 1)
    assert library.arrivals.take(TASK, "sqs-1") != first


def test_a_message_that_was_sent_twice_is_one_task(library: Library) -> None:
    assert library.arrivals.take(TASK, "sqs-1") == library.arrivals.take(TASK, "sqs-2")
    other = message(TaskName.HASH, {**HASH, "stemId": "other"})
    library.arrivals.take(other, "sqs-3")
    assert library.jobs() == 2


def test_a_task_that_failed_may_be_sent_once_more(library: Library) -> None:
    first = library.arrivals.take(TASK, "sqs-1")
    library.fail()
    second = library.arrivals.take(TASK, "sqs-2")
    assert second != first
    assert library.arrivals.take(TASK, "sqs-3") == second


def test_tasks_without_an_id_are_one_for_each_message(library: Library) -> None:
    text = '{"stemId": "a", "filepath": "b"}'
    assert library.arrivals.take(text, "sqs-1") != library.arrivals.take(text, "sqs-2")


def test_rubbish_is_a_dead_letter_at_once(library: Library) -> None:
    library.arrivals.take(RUBBISH["no stem"], "sqs-1")
    (letter,) = library.letters.listed(10)
    assert (letter.task, letter.error_code) == ("", "not_a_task")
    assert letter.message == RUBBISH["no stem"]
    assert len(library.sent("library-dead-letters")) == 1
    assert library.sent("library") == []


def test_a_task_fails_after_four_attempts_a_minute_or_more_apart(
    library: Library, clock: ManualClock
) -> None:
    library.arrivals.take(TASK, "sqs-1")
    store = library.stores[TaskName.HASH]
    for delay in (60, 120, 240):
        job = library.claimed()
        rules = store.kind.rules
        retry = Retry("a", "b", True, delay_seconds=rules.delay_seconds(job.attempt))
        store.retry(job.claim, retry)
        clock.advance(delay - 1)
        assert store.claim("me", lease_seconds=30, include_alone=True) == []
        clock.advance(1)
        assert library.sent("library") == []
    ended = store.retry(library.claimed().claim, Retry("a", "b", True))
    assert ended.state is State.FAILED
    assert len(library.sent("library")) == 1
    assert len(library.sent("library-dead-letters")) == 1


def test_dead_letters_are_listed_newest_first(
    library: Library, clock: ManualClock
) -> None:
    library.arrivals.take(TASK, "sqs-1")
    library.fail()
    clock.advance(1)
    library.arrivals.take(RUBBISH["not json"], "sqs-2")
    assert [letter.task for letter in library.letters.listed(10)] == [
        "",
        TaskName.HASH,
    ]
    assert len(library.letters.listed(1)) == 1


def test_a_dead_letter_is_retried_as_a_new_task(library: Library) -> None:
    first = library.arrivals.take(TASK, "sqs-1")
    library.fail()
    again = library.letters.retry(first)
    assert library.letters.listed(10) == []
    assert library.claimed().id == again
    for unknown in (first, again):
        with pytest.raises(JobNotFound):
            library.letters.retry(unknown)


def test_a_webhook_that_nobody_took_is_a_dead_letter_and_is_sent_again(
    library: Library, clock: ManualClock
) -> None:
    library.arrivals.take(TASK, "sqs-1")
    job = library.claimed()
    store = library.stores[TaskName.HASH]
    store.succeed(job.claim, Done({"audio_hash": "ab"}))
    (delivery,) = library.sent("library")
    clock.advance(4 * 24 * 3600)
    library.outbox.failed(delivery, Attempt(clock(), 0.1, status=500), clock())
    (letter,) = library.letters.listed(10)
    assert (letter.id, letter.task) == (delivery.id, "hash-check")
    assert letter.subject == HASH["stemId"]
    assert "500" in letter.error
    assert library.letters.retry(letter.id) == delivery.id
    assert library.letters.listed(10) == []
    assert [each.id for each in library.sent("library")] == [delivery.id]


def test_rubbish_that_is_retried_stays_with_its_reason(library: Library) -> None:
    first = library.arrivals.take(RUBBISH["no stem"], "sqs-1")
    with pytest.raises(NotATask):
        library.letters.retry(first)
    assert len(library.letters.listed(10)) == 1


def test_a_full_queue_takes_no_more(library: Library) -> None:
    for number in range(MAX_QUEUED):
        assert library.arrivals.room() == MAX_QUEUED - number
        text = message(TaskName.MIX, MIX, f"mix-{number}")
        library.arrivals.take(text, f"sqs-{number}")
    assert library.arrivals.room() == 0
    with pytest.raises(QueueFull):
        library.arrivals.take(message(TaskName.MIX, MIX, "more"), "sqs-more")
    library.claimed(TaskName.MIX)
    library.arrivals.take(message(TaskName.MIX, MIX, "more"), "sqs-more")


def task(stem_id: str, filepath: str, user_id: str = "me") -> Task:
    kwargs = {
        "stemId": stem_id,
        "filepath": filepath,
        "userId": user_id,
        "trackId": "t",
    }
    return Task(TaskName.HASH, kwargs)


def test_a_users_second_file_of_one_content_is_a_duplicate(library: Library) -> None:
    known = KnownFiles(library.database, library.clock)
    assert known.earlier(task("one", "1.wav"), "ab" * 32) is None
    assert known.earlier(task("one", "1.wav"), "ab" * 32) is None
    assert known.earlier(task("two", "2.wav"), "ab" * 32) == {
        "stemId": "one",
        "trackId": "t",
        "filepath": "1.wav",
    }
    assert known.earlier(task("two", "2.wav"), "cd" * 32) is None
    assert known.earlier(task("two", "2.wav", "other"), "ab" * 32) is None
