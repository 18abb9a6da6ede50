"""The contract of the outbox."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import Connection

from serve_app.database import Database
from serve_app.errors import DeliveryNotFound, LeaseLost
from serve_app.jobs.job import Claim
from serve_app.jobs.table import known_ids
from serve_app.webhooks.delivery import Attempt, Delivery, DeliveryState
from serve_app.webhooks.message import Message
from serve_app.webhooks.outbox import Outbox
from serve_app.webhooks.target import Webhook, WebhookEvent
from tests.jobs import NOON, RESULT, ManualClock, SongStore, new_job, new_store

KEPT, LEASE = 1800.0, 60.0
DAY = 24 * 3600.0
URL = "https://example.com/hook?token=1"
HOOK = Webhook(URL)
REFUSED = Attempt(NOON, 0.25, status=500)
FINE = Attempt(NOON, 0.5, status=204)
GONE = Attempt(NOON, 0.5, status=410)

End = Callable[[Outbox, Delivery], object]
ENDS: dict[str, End] = {
    "delivered": lambda outbox, claimed: outbox.delivered(claimed, FINE),
    "failed": lambda outbox, claimed: outbox.failed(claimed, REFUSED, NOON),
    "disabled": lambda outbox, claimed: outbox.disabled(claimed, GONE),
}


@pytest.fixture
def outbox(database: Database, clock: ManualClock) -> Outbox:
    return Outbox(database, clock)


@pytest.fixture
def store(database: Database, clock: ManualClock, outbox: Outbox) -> SongStore:
    return new_store(database, clock, outbox.post)


def begun(store: SongStore, job_id: str = "a", webhook: Webhook | None = HOOK) -> Claim:
    """Add a job, and claim it."""
    store.add(new_job(job_id, webhook=webhook))
    (job,) = store.claim("me", lease_seconds=30, include_alone=True)
    return job.claim


def ended(store: SongStore, *job_ids: str, webhook: Webhook = HOOK) -> None:
    for job_id in job_ids:
        store.succeed(begun(store, job_id, webhook), RESULT)


def claimed(outbox: Outbox) -> Delivery:
    delivery = outbox.claim(LEASE)
    assert delivery is not None
    return delivery


def only(outbox: Outbox, job_id: str = "a") -> Delivery:
    [delivery] = outbox.of_job(job_id)
    return delivery


def test_a_job_that_succeeds_is_told_with_all_that_its_client_may_know(
    store: SongStore, outbox: Outbox, clock: ManualClock
) -> None:
    claim = begun(store)
    clock.advance(10)
    store.succeed(claim, RESULT)
    delivery = only(outbox)
    assert delivery.id.startswith("msg_")
    assert (delivery.url, delivery.host) == (URL, "example.com")
    assert delivery.state is DeliveryState.PENDING
    assert delivery.due_at == delivery.created_at == NOON + timedelta(seconds=10)
    message = json.loads(delivery.body)
    assert message["type"] == "job.completed"
    assert message["timestamp"] == "2026-11-20T12:00:10Z"
    assert message["data"]["job_id"] == "a"
    assert message["data"]["status"] == "completed"
    stem = message["data"]["stems"]["drums"]
    assert stem["download_url"] == "/job/a/stems/drums"
    assert "error" not in message["data"]
    assert URL not in delivery.body


def test_a_job_that_fails_is_told_with_the_reason(
    store: SongStore, outbox: Outbox
) -> None:
    store.fail(begun(store), "code", "why")
    message = json.loads(only(outbox).body)
    assert message["type"] == "job.failed"
    assert message["data"]["error"] == "why"


@pytest.mark.parametrize("is_running", [False, True])
def test_a_job_that_is_cancelled_is_told_once_it_has_stopped(
    store: SongStore, outbox: Outbox, is_running: bool
) -> None:
    if is_running:
        claim = begun(store)
        store.cancel("a")
        assert outbox.of_job("a") == []
        store.release(claim)
    else:
        store.add(new_job(webhook=HOOK))
        store.cancel("a")
    store.cancel("a")
    assert only(outbox).event == WebhookEvent.CANCELLED


@pytest.mark.parametrize("webhook", [None, Webhook(URL, (WebhookEvent.FAILED,))])
def test_events_that_a_webhook_leaves_out_are_not_posted(
    store: SongStore, outbox: Outbox, webhook: Webhook | None
) -> None:
    store.succeed(begun(store, webhook=webhook), RESULT)
    assert outbox.of_job("a") == []


def test_an_end_that_is_rolled_back_is_not_told(
    database: Database, clock: ManualClock, outbox: Outbox
) -> None:
    def fail(connection: Connection, messages: Sequence[Message]) -> None:
        outbox.post(connection, messages)
        raise RuntimeError("the power is gone")

    store = new_store(database, clock, fail)
    claim = begun(store)
    with pytest.raises(RuntimeError):
        store.succeed(claim, RESULT)
    assert outbox.of_job("a") == []
    assert store.get("a").claim == claim
    assert outbox.claim(LEASE) is None


def test_deliveries_are_handed_out_the_longest_due_first(
    store: SongStore, outbox: Outbox, clock: ManualClock
) -> None:
    for job_id in "abc":
        ended(store, job_id)
        clock.advance(1)
    assert [claimed(outbox).job_id for _ in "abc"] == ["a", "b", "c"]
    assert outbox.claim(LEASE) is None


def test_hosts_that_are_busy_are_left_to_wait(store: SongStore, outbox: Outbox) -> None:
    ended(store, "a")
    ended(store, "b", webhook=Webhook("https://other.example/"))
    delivery = outbox.claim(LEASE, ["example.com", "third.example"])
    assert delivery is not None
    assert delivery.host == "other.example"
    assert outbox.claim(LEASE, ["example.com"]) is None
    assert claimed(outbox).job_id == "a"


def test_senders_at_once_never_have_the_same_delivery(
    store: SongStore, outbox: Outbox
) -> None:
    ended(store, *(f"job{number}" for number in range(24)))
    barrier = Barrier(4)

    def work(_: int) -> list[str]:
        barrier.wait()
        found = []
        while delivery := outbox.claim(LEASE):
            found.append(delivery.id)
        return found

    with ThreadPoolExecutor(4) as pool:
        lists = list(pool.map(work, range(4)))
    ids = [each for found in lists for each in found]
    assert len(ids) == len(set(ids)) == 24


def test_a_dead_senders_delivery_is_claimed_again_with_the_same_id(
    store: SongStore, outbox: Outbox, clock: ManualClock
) -> None:
    ended(store, "a")
    first = claimed(outbox)
    clock.advance(LEASE - 1)
    assert outbox.claim(LEASE) is None
    clock.advance(1)
    second = claimed(outbox)
    assert (second.id, second.body) == (first.id, first.body)
    assert second.attempt == first.attempt + 1
    assert second.failures == 0


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_sender_that_was_thought_dead_changes_nothing(
    store: SongStore, outbox: Outbox, clock: ManualClock, end: End
) -> None:
    ended(store, "a")
    slow = claimed(outbox)
    clock.advance(LEASE)
    claimed(outbox)
    before = only(outbox)
    with pytest.raises(LeaseLost, match="has lost its lease"):
        end(outbox, slow)
    assert only(outbox) == before


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_what_has_ended_is_neither_sent_nor_ended_again(
    store: SongStore, outbox: Outbox, clock: ManualClock, end: End
) -> None:
    ended(store, "a")
    delivery = claimed(outbox)
    outbox.delivered(delivery, FINE)
    clock.advance(4 * DAY)
    assert outbox.claim(LEASE) is None
    with pytest.raises(LeaseLost):
        end(outbox, delivery)
    assert only(outbox).state is DeliveryState.DELIVERED
    assert only(outbox).log == (FINE,)


def test_a_failed_attempt_is_followed_by_another_at_its_time(
    store: SongStore, outbox: Outbox, clock: ManualClock
) -> None:
    ended(store, "a")
    assert outbox.failed(claimed(outbox), REFUSED, NOON + timedelta(seconds=5))
    clock.advance(4.9)
    assert outbox.claim(LEASE) is None
    clock.advance(0.1)
    again = claimed(outbox)
    assert (again.attempt, again.failures, again.log) == (2, 1, (REFUSED,))


def test_a_delivery_is_given_up_when_the_next_attempt_would_be_after_three_days(
    store: SongStore, outbox: Outbox, clock: ManualClock
) -> None:
    ended(store, "a")
    last = NOON + timedelta(days=3)
    assert outbox.failed(claimed(outbox), REFUSED, last)
    clock.advance(3 * DAY)
    late = last + timedelta(seconds=1)
    assert not outbox.failed(claimed(outbox), REFUSED, late)
    assert only(outbox).state is DeliveryState.FAILED
    clock.advance(DAY)
    assert outbox.claim(LEASE) is None


def test_what_was_given_up_is_listed_newest_first(
    store: SongStore, outbox: Outbox, clock: ManualClock
) -> None:
    for job_id in ("a", "b", "c"):
        ended(store, job_id)
        clock.advance(1)
    deliveries = [claimed(outbox) for _ in range(3)]
    for delivery in deliveries[:2]:
        outbox.failed(delivery, REFUSED, clock() + timedelta(days=4))
    assert [each.job_id for each in outbox.given_up("webhook")] == ["b", "a"]
    assert [each.job_id for each in outbox.given_up("webhook", 1)] == ["b"]
    assert outbox.given_up("library") == []


def test_the_log_holds_the_latest_twenty_attempts(
    store: SongStore, outbox: Outbox
) -> None:
    ended(store, "a")
    for number in range(25):
        attempt = Attempt(NOON, float(number), error="It was \x00 away.")
        outbox.failed(claimed(outbox), attempt, NOON)
    delivery = only(outbox)
    assert [attempt.seconds for attempt in delivery.log] == list(range(5, 25))
    assert delivery.attempt == delivery.failures == 25


def test_a_receiver_that_is_gone_is_sent_nothing_more(
    store: SongStore, outbox: Outbox, clock: ManualClock
) -> None:
    ended(store, "a", "b")
    clock.advance(1)
    ended(store, "c", webhook=Webhook("https://example.com/other"))
    outbox.disabled(claimed(outbox), GONE)
    states = [delivery.state for name in "abc" for delivery in outbox.of_job(name)]
    assert sorted(states) == ["disabled", "disabled", "pending"]
    assert claimed(outbox).job_id == "c"


def test_receivers_that_are_gone_are_found_so_by_many_at_once(
    store: SongStore, outbox: Outbox
) -> None:
    ended(store, *(f"job{number}" for number in range(8)))
    deliveries = [claimed(outbox) for _ in range(8)]
    barrier = Barrier(8)

    def work(delivery: Delivery) -> bool:
        barrier.wait()
        try:
            outbox.disabled(delivery, GONE)
        except LeaseLost:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, deliveries)) == 1
    assert outbox.claim(LEASE) is None


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_replay_begins_anew_with_the_same_id(
    store: SongStore, outbox: Outbox, clock: ManualClock, end: End
) -> None:
    ended(store, "a")
    first = claimed(outbox)
    end(outbox, first)
    clock.advance(4 * DAY)
    replayed = outbox.replay("a", first.id)
    assert replayed == only(outbox)
    assert replayed.state is DeliveryState.PENDING
    assert len(replayed.log) == 1
    again = claimed(outbox)
    assert (again.id, again.body, again.failures) == (first.id, first.body, 0)
    assert again.attempt == 2
    assert outbox.failed(again, REFUSED, clock() + timedelta(days=3))


def test_a_replay_beside_an_attempt_is_not_given_up_with_it(
    store: SongStore, outbox: Outbox, clock: ManualClock
) -> None:
    ended(store, "a")
    clock.advance(3 * DAY)
    old = claimed(outbox)
    outbox.replay("a", old.id)
    assert outbox.failed(old, REFUSED, clock() + timedelta(days=1))


def test_only_a_delivery_of_that_job_is_replayed(
    store: SongStore, outbox: Outbox
) -> None:
    ended(store, "a", "b")
    for job_id, delivery_id in (
        ("a", "msg_unknown"),
        ("b", only(outbox).id),
        ("gone", only(outbox).id),
    ):
        with pytest.raises(DeliveryNotFound, match="deliveries"):
            outbox.replay(job_id, delivery_id)


def test_a_log_goes_with_its_job_but_nothing_that_is_still_to_be_sent(
    store: SongStore, outbox: Outbox
) -> None:
    ended(store, "a", "b")
    outbox.delivered(claimed(outbox), FINE)
    outbox.sweep(known_ids())
    assert len(outbox.of_job("a") + outbox.of_job("b")) == 2
    store.remove("a")
    store.remove("b")
    outbox.sweep(known_ids())
    [left] = outbox.of_job("a") + outbox.of_job("b")
    assert left.state is DeliveryState.PENDING
    outbox.disabled(claimed(outbox), GONE)
    outbox.sweep(known_ids())
    assert outbox.of_job(left.job_id) == []
