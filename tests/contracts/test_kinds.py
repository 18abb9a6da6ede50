"""The contract of the job store for several kinds of jobs, and of their messages."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from serve_app.database import Database
from serve_app.errors import (
    DeliveryNotFound,
    FileLost,
    JobExists,
    JobNotFound,
    LeaseLost,
    QueueFull,
)
from serve_app.idempotency.response import StoredResponse
from serve_app.idempotency.store import ResponseReceipt, StoredResponses
from serve_app.jobs.attempt import RunningAttempt, retry_after
from serve_app.jobs.job import Claim, Job, State
from serve_app.jobs.kind import Kind, Rules, Share
from serve_app.jobs.policy import DispatchPolicy
from serve_app.jobs.store import JobStore
from serve_app.webhooks.delivery import Attempt as Sending
from serve_app.webhooks.delivery import Delivery, DeliveryState
from serve_app.webhooks.message import Message
from serve_app.webhooks.outbox import Outbox
from tests.jobs import NOON, ManualClock, new_job, new_store

LEASE = 30.0
YEARS = 10 * 365 * 24 * 3600.0


@dataclass(frozen=True)
class Wanted:
    """A page to download."""

    url: str = "https://example.com/"
    depth: int | None = None


@dataclass(frozen=True)
class Page:
    """A downloaded page."""

    words: int


WantedJob = Job[Wanted, Page]
PageStore = JobStore[Wanted, Page]
PAGE = Page(7)


@dataclass(frozen=True)
class Download(Kind[Wanted, Page]):
    """Pages to download; each end sends a letter."""

    def messages(self, job: WantedJob, now: datetime) -> Sequence[Message]:
        """Return the letter about the end of a job."""
        return [Message("letter", "mailto:a@example.com", job.state, "{}", job.id)]


def download(name: str = "download", **rules: Any) -> Download:
    """Return a kind with this name and these rules."""
    return Download(name, Wanted, Page, ("fetch", "read"), Rules(**rules))


def wanted(job_id: str, seconds: float = 0.0, **changes: Any) -> WantedJob:
    """Return a queued job that was created some seconds after noon."""
    came_at = NOON + timedelta(seconds=seconds)
    return WantedJob(job_id, Wanted(), State.QUEUED, came_at, came_at).evolve(**changes)


def add(store: PageStore, *jobs: WantedJob) -> None:
    for job in jobs:
        store.add(job)


def claim(store: PageStore, most: int = 99, owner: str = "me") -> list[WantedJob]:
    return store.claim(owner, lease_seconds=LEASE, include_alone=True, most=most)


def claimed(store: PageStore) -> Claim:
    [job] = claim(store, 1)
    return job.claim


def ids(jobs: Sequence[WantedJob]) -> list[str]:
    return [job.id for job in jobs]


def in_threads(number: int, work: Callable[[int], object]) -> None:
    """Run `work` in threads that start together; raise the first error of any."""
    barrier = threading.Barrier(number)

    def started(index: int) -> None:
        barrier.wait()
        work(index)

    with ThreadPoolExecutor(number) as pool:
        list(pool.map(started, range(number)))


@pytest.fixture
def pages(database: Database, clock: ManualClock) -> PageStore:
    return JobStore(database, clock, download())


Make = Callable[..., PageStore]


@pytest.fixture
def make(database: Database, clock: ManualClock) -> Make:
    """Return a store of pages with these rules."""
    return lambda **rules: JobStore(database, clock, download(**rules))


def test_a_job_of_any_kind_comes_back_as_it_was(pages: PageStore) -> None:
    add(pages, wanted("a", lane="example.com", unique_key="page:1", priority=2))
    assert pages.get("a") == wanted(
        "a", lane="example.com", unique_key="page:1", priority=2
    )
    pages.report(claimed(pages), "read", 0.5)
    assert (pages.get("a").stage, pages.get("a").progress) == ("read", 0.5)
    pages.succeed(pages.get("a").claim, PAGE)
    assert pages.get("a").result == PAGE


def test_kinds_do_not_see_each_other(
    database: Database, clock: ManualClock, pages: PageStore
) -> None:
    songs = new_store(database, clock)
    add(pages, wanted("page", tenant="me", client="me", disk_bytes=5))
    songs.add(new_job("song", tenant="me", client="me", disk_bytes=3))
    assert ids(pages.listed("me", 9)) == ["page"]
    assert [job.id for job in songs.listed("me", 9)] == ["song"]
    assert [*pages.find(["page", "song"])] == ["page"]
    assert (pages.disk_bytes(), songs.disk_bytes()) == (5, 3)
    assert (pages.disk_bytes("me"), songs.disk_bytes("me")) == (5, 3)
    assert pages.counts()[State.QUEUED] == songs.counts()[State.QUEUED] == 1
    for act in (pages.get, pages.cancel):
        with pytest.raises(JobNotFound):
            act("song")
    assert ids(claim(pages)) == ["page"]
    assert claim(pages) == []
    assert songs.get("song").state is State.QUEUED


def test_kinds_end_and_expire_apart(
    database: Database, clock: ManualClock, pages: PageStore
) -> None:
    """A store does not change jobs of another kind either."""
    songs = new_store(database, clock)
    add(pages, wanted("page"))
    songs.add(new_job("song"))
    [song] = songs.claim("me", lease_seconds=LEASE, include_alone=True)
    assert pages.renew([song.claim], LEASE).lost == {song.claim}
    with pytest.raises(LeaseLost):
        pages.fail(song.claim, "code", "why")
    songs.fail(song.claim, "code", "why")
    pages.cancel("page")
    clock.advance(pages.kind.rules.retention_seconds or 0.0)
    assert ids(pages.due_for_expiry(9)) == ["page"]
    assert [job.id for job in songs.due_for_expiry(9)] == ["song"]
    pages.remove("song")
    assert songs.get("song").state is State.FAILED
    songs.remove("song")
    assert pages.counts()[State.CANCELLED] == 1


def test_a_kind_takes_no_room_from_another(make: Make) -> None:
    share = Share(queued_jobs=1, disk_bytes=10)
    first = make(name="one", max_queued=2, share=share)
    second = make(name="two", max_queued=2, share=share)
    for store in (first, second):
        name = store.kind.name
        add(store, wanted(f"{name}-a", client="a", disk_bytes=10))
        with pytest.raises(QueueFull, match="1 of your jobs are queued"):
            store.check_room("a")
        store.check_room("b")
        add(store, wanted(f"{name}-b", client="b"))
        with pytest.raises(QueueFull, match="2 jobs are queued"):
            store.check_room("c")


def test_a_kind_neither_waits_for_another_nor_finds_its_work(make: Make) -> None:
    first, second = make(name="one"), make(name="two")
    same: dict[str, Any] = {"same_input": "file", "same_work": "work", "client": "me"}
    add(first, wanted("a", cost_seconds=60.0, **same))
    add(second, wanted("b", cost_seconds=5.0, **same))
    assert second.get("b").waits_for is None
    assert second.get("b").turn == NOON.timestamp() + 5
    assert ids(second.with_same_input("file")) == ["b"]
    assert ids(first.with_same_work("work")) == ["a"]


@pytest.mark.parametrize("most", [1, 9])
def test_no_more_run_at_once_than_may_in_the_whole_cluster(
    database_url: str, database: Database, clock: ManualClock, most: int
) -> None:
    kind = download(at_once=3)
    found: list[WantedJob] = []
    with Database(database_url) as beside:
        stores = [JobStore(each, clock, kind) for each in (database, beside)]
        add(stores[0], *(wanted(str(number), number) for number in range(12)))

        def claim_all(index: int) -> None:
            for _ in range(4):
                found.extend(claim(stores[index % 2], most, f"owner-{index}"))

        in_threads(6, claim_all)
        assert sorted(ids(found)) == ["0", "1", "2"]
        stores[1].succeed(found[0].claim, PAGE)
        assert ids(claim(stores[0])) == ["3"]


def test_a_limit_applies_to_one_kind(make: Make) -> None:
    first, second = make(name="one", at_once=1), make(name="two", at_once=1)
    add(first, wanted("a"), wanted("b"))
    add(second, wanted("c"))
    assert (ids(claim(first)), ids(claim(second))) == (["a"], ["c"])
    assert claim(first) == claim(second) == []


def test_an_expired_lease_frees_its_place(make: Make, clock: ManualClock) -> None:
    store = make(at_once=1, at_once_per_lane=1)
    add(store, wanted("a", lane="x"))
    assert ids(claim(store)) == ["a"]
    add(store, wanted("urgent", lane="x", priority=0))
    clock.advance(LEASE - 1)
    assert claim(store) == []
    clock.advance(1)
    assert ids(claim(store)) == ["urgent"]
    assert claim(store) == []
    store.succeed(store.get("urgent").claim, PAGE)
    assert [(job.id, job.attempt) for job in claim(store)] == [("a", 2)]


def test_what_can_not_be_run_is_ended_though_there_is_no_room(
    make: Make, clock: ManualClock
) -> None:
    store = make(at_once=1)
    add(store, wanted("a"), wanted("b", 1))
    assert claimed(store).job_id == "a"
    store.cancel("a")
    clock.advance(LEASE)
    assert ids(claim(store, 1)) == ["b"]
    assert store.get("a").state is State.CANCELLED


def test_a_lane_that_is_full_is_passed_by(make: Make) -> None:
    store = make(at_once_per_lane=2)
    lanes = ["x", "x", "x", "y", None, None, "x"]
    add(store, *(wanted(str(n), n, lane=lane) for n, lane in enumerate(lanes)))
    assert ids(claim(store, 4)) == ["0", "1", "3", "4"]
    assert ids(claim(store)) == ["5"]
    assert claim(store) == []
    store.release(store.get("1").claim)
    store.cancel("1")
    assert ids(claim(store)) == ["2"]


def test_lanes_are_bounded_in_the_whole_cluster(
    database_url: str, database: Database, clock: ManualClock
) -> None:
    kind = download(at_once=5, at_once_per_lane=2)
    found: list[WantedJob] = []
    with Database(database_url) as beside:
        stores = [JobStore(each, clock, kind) for each in (database, beside)]
        for number, lane in enumerate("xxxxyyyyzzzz"):
            add(stores[0], wanted(str(number), number, lane=lane))

        def claim_all(index: int) -> None:
            for _ in range(3):
                found.extend(claim(stores[index % 2], 3, f"owner-{index}"))

        in_threads(6, claim_all)
    running = sorted(job.lane or "" for job in found)
    assert len(running) == 5
    assert max(running.count(lane) for lane in "xyz") == 2


def test_a_lane_is_one_of_its_kind(make: Make) -> None:
    first = make(name="one", at_once_per_lane=1)
    second = make(name="two", at_once_per_lane=1)
    add(first, wanted("a", lane="x"))
    add(second, wanted("b", lane="x"), wanted("c", 1, lane="x"))
    first.pause("x", 60)
    assert (ids(claim(first)), ids(claim(second))) == ([], ["b"])


def test_a_paused_lane_is_passed_by_until_its_time(
    make: Make, clock: ManualClock
) -> None:
    store = make(at_once_per_lane=9)
    add(store, wanted("a", lane="x"), wanted("b", 1, lane="y"), wanted("c", 2))
    store.pause("x", 60)
    store.pause("x", 10)  # which does not shorten it
    assert ids(claim(store)) == ["b", "c"]
    clock.advance(59)
    assert "a" not in ids(claim(store))
    store.pause("x", 60)
    clock.advance(59)
    assert "a" not in ids(claim(store))
    clock.advance(1)
    assert "a" in ids(claim(store))


def test_a_kind_without_lanes_has_none_to_pause(pages: PageStore) -> None:
    with pytest.raises(ValueError, match="have no at_once_per_lane"):
        pages.pause("x", 60)


def test_only_one_job_has_a_unique_key(make: Make) -> None:
    first, second = make(name="one"), make(name="two")
    add(first, wanted("a", unique_key="page:1"), wanted("b", 1, unique_key="page:2"))
    add(second, wanted("c", unique_key="page:1"))
    ended: dict[str, Any] = {"state": State.SUCCEEDED, "result": PAGE}

    def is_refused() -> bool:
        for changes in ({}, ended):
            with pytest.raises(JobExists) as caught:
                first.add(wanted("d", unique_key="page:1", **changes))
            assert caught.value.job_id == "a"
        return [*first.find("d")] == []

    assert is_refused()
    running = claimed(first)
    assert is_refused()
    first.succeed(running, PAGE)
    assert is_refused()
    first.remove("a")
    add(first, wanted("d", unique_key="page:1"))


@pytest.mark.parametrize("ending", [State.FAILED, State.CANCELLED])
def test_the_unique_key_of_a_failed_job_can_be_used_again(
    pages: PageStore, ending: State
) -> None:
    for job_id in "abc":
        add(pages, wanted(job_id, unique_key="page:1"))
        mine = claimed(pages)
        if ending is State.FAILED:
            pages.fail(mine, "code", "why")
        else:
            pages.cancel(job_id)
            with pytest.raises(JobExists):
                pages.add(wanted("early", unique_key="page:1"))
            pages.release(mine)
        assert pages.get(job_id).state is ending


def test_of_many_with_the_same_unique_key_at_once_one_is_added(
    database_url: str, database: Database, clock: ManualClock
) -> None:
    refused: list[str | None] = []
    with Database(database_url) as beside:
        stores = [JobStore(each, clock, download()) for each in (database, beside)]

        def send(index: int) -> None:
            try:
                stores[index % 2].add(wanted(str(index), unique_key="page:1"))
            except JobExists as err:
                refused.append(err.job_id)

        in_threads(6, send)
        [added] = stores[0].listed("", 9)
    assert refused == [added.id] * 5


def test_what_is_kept_for_good_never_expires(make: Make, clock: ManualClock) -> None:
    store = make(retention_seconds=None)
    add(store, *(wanted(name) for name in "abcd"))
    store.cancel("d")
    for end in (
        lambda mine: store.succeed(mine, PAGE),
        lambda mine: store.fail(mine, "code", "why"),
        lambda mine: (store.cancel(mine.job_id), store.release(mine)),
    ):
        end(claimed(store))
    clock.advance(YEARS)
    assert store.due_for_expiry(9) == []
    kept = store.find("abcd").values()
    assert [(job.state.is_final, job.expires_at) for job in kept] == [(True, None)] * 4
    assert store.get("a").result == PAGE


def test_each_kind_waits_in_its_own_way_between_attempts(
    make: Make, clock: ManualClock
) -> None:
    quick = make(name="quick", retry_seconds=(1.0,), max_attempts=9)
    slow = make(name="slow", retry_seconds=(1.0, 7.0), max_attempts=9)
    policy = DispatchPolicy(1, backoff_seconds=100.0)
    add(quick, wanted("a"))
    add(slow, wanted("b"))
    for store, delays in ((quick, (1, 1, 1)), (slow, (1, 7, 7))):
        for seconds in delays:
            [job] = claim(store)
            attempt = RunningAttempt(store.kind, job)
            attempt.replica = "one"
            retry = retry_after(FileLost("gone"), attempt, [attempt], policy)
            store.retry(job.claim, retry)
            clock.advance(seconds - 0.5)
            assert claim(store) == []
            clock.advance(0.5)


def test_a_receipt_kept_before_adds_nothing(
    database: Database, clock: ManualClock, make: Make
) -> None:
    store = make(max_queued=1)
    taken = StoredResponse(
        "r", "said", 202, {}, {"job_id": "a"}, NOON + timedelta(hours=1)
    )
    assert store.add(wanted("a", unique_key="k"), ResponseReceipt(taken)) is None
    # Even if the queue is full and another job has the same unique key.
    again = store.add(wanted("b", unique_key="k"), ResponseReceipt(taken))
    assert again == taken
    assert ids(store.listed("", 9)) == ["a"]
    claimed(store)
    other = StoredResponse("q", "said", 202, {}, {}, NOON + timedelta(hours=1))
    with pytest.raises(JobExists):
        store.add(wanted("b", unique_key="k"), ResponseReceipt(other))
    assert StoredResponses(database, clock).find("q") is None


@pytest.fixture
def outbox(database: Database, clock: ManualClock) -> Outbox:
    return Outbox(database, clock)


def test_messages_are_there_exactly_if_the_end_is(
    database: Database, clock: ManualClock, outbox: Outbox
) -> None:
    is_away = True

    def post(connection: Connection, messages: Sequence[Message]) -> None:
        outbox.post(connection, messages)
        if is_away:
            raise ConnectionError("the power is gone")

    store = JobStore(database, clock, download(), post)
    add(store, wanted("a"))
    mine = claimed(store)
    with pytest.raises(ConnectionError):
        store.succeed(mine, PAGE)
    assert store.get("a").claim == mine
    assert outbox.of_job("a", "letter") == []
    is_away = False
    store.succeed(mine, PAGE)
    [told] = outbox.of_job("a", "letter")
    assert (told.channel, told.event) == ("letter", "succeeded")
    assert told.url == "mailto:a@example.com"


FINE = Sending(NOON, 0.1, status=204)
REFUSED = Sending(NOON, 0.1, status=500)
LATE = NOON + timedelta(days=9)


def post(database: Database, outbox: Outbox, *messages: Message) -> None:
    with database.writing() as connection:
        outbox.post(connection, messages)


def handed_out(outbox: Outbox, channel: str = "letter") -> Delivery | None:
    return outbox.claim(LEASE, channel=channel)


def test_a_channel_does_not_see_what_another_one_sends(
    database: Database, outbox: Outbox
) -> None:
    target = "https://example.com/"
    for channel in ("letter", "webhook"):
        post(database, outbox, Message(channel, target, "event", "{}", channel))
    letter = handed_out(outbox)
    assert letter is not None
    assert letter.job_id == "letter"
    assert handed_out(outbox) is None
    assert handed_out(outbox, "pigeon") is None
    # A receiver may be disabled in one channel and not in others.
    outbox.disabled(letter, Sending(NOON, 0.1, status=410))
    told = outbox.claim(LEASE)
    assert told is not None
    assert told.job_id == "webhook"


def test_a_channel_lists_and_replays_its_own_messages_only(
    database: Database, outbox: Outbox
) -> None:
    target = "https://example.com/"
    for channel in ("letter", "webhook"):
        post(database, outbox, Message(channel, target, "event", channel, "a"))
    [letter], [webhook] = outbox.of_job("a", "letter"), outbox.of_job("a")
    assert (letter.body, webhook.body) == ("letter", "webhook")
    assert outbox.of_job("a", "pigeon") == []
    mine = handed_out(outbox)
    assert mine is not None
    outbox.delivered(mine, FINE)
    with pytest.raises(DeliveryNotFound):
        outbox.replay("a", letter.id)
    with pytest.raises(DeliveryNotFound):
        outbox.replay("a", webhook.id, "letter")
    assert handed_out(outbox) is None
    assert outbox.replay("a", letter.id, "letter").id == letter.id
    assert handed_out(outbox) is not None


def in_order(*targets: str, key: str | None = "album") -> list[Message]:
    return [Message("letter", one, "event", "{}", one, key) for one in targets]


def test_messages_in_order_are_sent_in_the_order_in_which_they_were_made(
    database: Database, outbox: Outbox
) -> None:
    names = [f"job-{number}" for number in range(6)]
    post(database, outbox, *in_order(*names))
    found = []
    while (delivery := handed_out(outbox)) is not None:
        found.append(delivery.job_id)
        assert handed_out(outbox) is None
        outbox.delivered(delivery, FINE)
    assert found == names


@pytest.mark.parametrize(
    ("end", "state"),
    [
        (
            lambda outbox, first: outbox.delivered(first, FINE),
            DeliveryState.DELIVERED,
        ),
        (
            lambda outbox, first: outbox.failed(first, REFUSED, LATE),
            DeliveryState.FAILED,
        ),
        (
            lambda outbox, first: outbox.disabled(first, REFUSED),
            DeliveryState.DISABLED,
        ),
    ],
)
def test_a_message_in_order_waits_until_the_one_before_has_ended(
    database: Database,
    outbox: Outbox,
    clock: ManualClock,
    end: Callable[[Outbox, Delivery], object],
    state: DeliveryState,
) -> None:
    post(database, outbox, *in_order("first"))
    clock.advance(1)
    post(database, outbox, *in_order("second"), *in_order("other", key="other"))
    post(database, outbox, *in_order("any", key=None))
    first = handed_out(outbox)
    assert first is not None
    assert first.job_id == "first"
    others = [handed_out(outbox), handed_out(outbox)]
    assert {each.job_id for each in others if each} == {"other", "any"}
    assert handed_out(outbox) is None
    # The first will be retried, so the second still waits, even if both are due.
    assert outbox.failed(first, REFUSED, clock.now + timedelta(seconds=5))
    clock.advance(1)
    assert handed_out(outbox) is None
    clock.advance(4)
    again = handed_out(outbox)
    assert again is not None
    assert again.job_id == "first"
    end(outbox, again)
    assert outbox.of_job("first", "letter")[0].state is state
    second = handed_out(outbox)
    assert second is not None
    assert second.job_id == "second"
