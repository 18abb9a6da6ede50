"""The sender against real servers, among them those that mean no good."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from ipaddress import ip_address
from typing import Any

import pytest

from serve_app.database import Database
from serve_app.errors import Unavailable
from serve_app.outbound.client import CheckedNetwork, OutboundClient
from serve_app.outbound.urls import UrlRules
from serve_app.webhooks import message, signing
from serve_app.webhooks.channel import SendPolicy, WebhookChannel
from serve_app.webhooks.delivery import Delivery, DeliveryState
from serve_app.webhooks.outbox import Outbox
from serve_app.webhooks.sender import Hooks, SendEnd, Sender, SendOutcome
from serve_app.webhooks.target import Webhook
from tests.jobs import RESULT, ManualClock, SongStore, new_job
from tests.unit.webhooks.receiver import Flood, Receiver, drops, silence, status

KEYS = [b"the new key has 24 bytes", b"the old key has 24 bytes"]
PATIENCE_SECONDS = 20.0
QUICK = SendPolicy(poll_seconds=0.01, backoff_seconds=0.01)
HASTY = SendPolicy(timeout_seconds=0.4, poll_seconds=0.01)
LUCK = 0.5
NO_HOOKS = Hooks()


def ended(store: SongStore, url: str, *job_ids: str) -> None:
    for job_id in job_ids:
        store.add(new_job(job_id, webhook=Webhook(url)))
        (job,) = store.claim("me", lease_seconds=30, include_alone=True)
        store.succeed(job.claim, RESULT)


def local_asker() -> OutboundClient:
    rules = UrlRules(("http", "https"), has_private=True)
    return OutboundClient(rules, CheckedNetwork(is_allowed=lambda _: True))


@asynccontextmanager
async def sending(
    outbox: Outbox,
    clock: ManualClock,
    policy: SendPolicy = QUICK,
    asker: OutboundClient | None = None,
    keys: Sequence[bytes] = KEYS,
    public_url: str = "",
    hooks: Hooks = NO_HOOKS,
) -> AsyncIterator[Sender]:
    asker = asker or local_asker()
    channel = WebhookChannel(asker, keys, public_url, policy)
    sender = Sender(outbox, channel, clock, lambda: LUCK, hooks)
    loop = asyncio.create_task(sender.run_forever())
    try:
        yield sender
        assert not loop.done(), "the loop has ended by itself"
    finally:
        loop.cancel()
        await asyncio.wait([loop])
        asker.close()


async def until(is_true: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await asyncio.to_thread(is_true):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def send(outbox: Outbox, clock: ManualClock, number: int = 1, **options: Any) -> None:
    """Let a sender work until so many attempts of job `a` are written down."""

    async def work() -> None:
        async with sending(outbox, clock, **options):
            await until(has_log(outbox, number))

    asyncio.run(work())


def has_log(outbox: Outbox, number: int) -> Callable[[], bool]:
    return lambda: len(only(outbox).log) == number


def only(outbox: Outbox, job_id: str = "a") -> Delivery:
    [delivery] = outbox.of_job(job_id)
    return delivery


def test_a_message_arrives_signed_with_each_key(
    store: SongStore, outbox: Outbox, clock: ManualClock, receiver: Receiver
) -> None:
    ended(store, f"{receiver.url}?token=1", "a")
    send(outbox, clock)
    [request] = receiver.received
    delivery = only(outbox)
    assert delivery.state is DeliveryState.DELIVERED
    assert [attempt.status for attempt in delivery.log] == [204]
    assert request.path == "/hook?token=1"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"] == "stemserve"
    assert request.headers["webhook-id"] == delivery.id
    assert request.body.decode() == message.rendered(delivery.body, "")
    assert json.loads(request.body)["data"]["job_id"] == "a"
    for key in KEYS:
        signing.verify([key], request.headers, request.body, clock())


def test_a_receiver_that_fails_is_asked_again_with_the_same_message(
    store: SongStore, outbox: Outbox, clock: ManualClock, receiver: Receiver
) -> None:
    receiver.answers = [status(500), status(503), status(200)]
    ended(store, receiver.url, "a")

    async def work() -> None:
        async with sending(outbox, clock):
            for number, delay in enumerate((5, 30), 1):
                await until(has_log(outbox, number))
                due_in = only(outbox).due_at - clock()
                assert due_in == timedelta(seconds=delay)
                clock.advance(delay)
            await until(lambda: only(outbox).state is DeliveryState.DELIVERED)

    asyncio.run(work())
    assert [attempt.status for attempt in only(outbox).log] == [500, 503, 200]
    assert len({request.headers["webhook-id"] for request in receiver.received}) == 1
    assert len({request.body for request in receiver.received}) == 1
    moments = [request.headers["webhook-timestamp"] for request in receiver.received]
    assert int(moments[2]) - int(moments[0]) == 35
    last = receiver.received[-1]
    signing.verify(KEYS, last.headers, last.body, clock())


@pytest.mark.parametrize(
    ("code", "wish", "delay"),
    [(429, "120", 120), (503, "999999", 3600), (503, "1", 5), (500, "120", 5)],
)
def test_a_busy_receiver_is_given_the_time_it_asks_for(
    store: SongStore,
    outbox: Outbox,
    clock: ManualClock,
    receiver: Receiver,
    code: int,
    wish: str,
    delay: float,
) -> None:
    receiver.answers = [status(code, Retry_After=wish)]
    ended(store, receiver.url, "a")
    send(outbox, clock)
    assert only(outbox).due_at == clock() + timedelta(seconds=delay)


def test_a_receiver_that_is_gone_is_sent_nothing_more(
    store: SongStore, outbox: Outbox, clock: ManualClock, receiver: Receiver
) -> None:
    receiver.answers = [status(410)]
    ended(store, receiver.url, "a", "b")

    async def work() -> None:
        async with sending(outbox, clock):
            await until(
                lambda: all(only(outbox, name).state == "disabled" for name in "ab")
            )

    asyncio.run(work())
    assert len(receiver.received) == 1


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(
    store: SongStore, outbox: Outbox, clock: ManualClock, receiver: Receiver, code: int
) -> None:
    with Receiver("127.0.0.2") as secret:
        receiver.answers = [status(code, Location=secret.url)]
        ended(store, receiver.url, "a")
        send(outbox, clock)
        assert secret.received == []
    assert only(outbox).state is DeliveryState.PENDING
    [attempt] = only(outbox).log
    assert attempt.status == code
    assert "not followed" in (attempt.error or "")


def test_a_redirect_to_the_metadata_of_a_cloud_is_a_failure_like_any_other(
    store: SongStore, outbox: Outbox, clock: ManualClock, receiver: Receiver
) -> None:
    receiver.answers = [status(307, Location="http://169.254.169.254/latest/meta-data")]
    ended(store, receiver.url, "a")
    send(outbox, clock)
    assert only(outbox).failures == 1
    assert only(outbox).log[0].status == 307


def test_an_address_of_our_own_network_is_not_asked_and_the_log_says_so(
    store: SongStore, outbox: Outbox, clock: ManualClock, receiver: Receiver
) -> None:
    ended(store, "https://rebound.example/hook", "a")
    ended(store, receiver.url, "b")
    network = CheckedNetwork(lambda *_: [ip_address("127.0.0.1")])
    send(outbox, clock, asker=OutboundClient(UrlRules(), network))
    [attempt] = only(outbox).log
    assert attempt.status is None
    assert attempt.error == "The host rebound.example does not have a public address."
    assert only(outbox).state is DeliveryState.PENDING
    assert receiver.received == []


def test_a_receiver_that_is_not_there_is_tried_again(
    store: SongStore, outbox: Outbox, clock: ManualClock
) -> None:
    with Receiver("127.0.0.1") as receiver:
        url = receiver.url
    ended(store, url, "a")
    send(outbox, clock)
    assert "The URL is unreachable" in (only(outbox).log[0].error or "")
    assert only(outbox).due_at == clock() + timedelta(seconds=5)


@pytest.mark.parametrize("answer", [silence, drops])
def test_a_receiver_that_hangs_is_left_in_time(
    store: SongStore,
    outbox: Outbox,
    clock: ManualClock,
    receiver: Receiver,
    answer: Any,
) -> None:
    receiver.answers = [answer]
    ended(store, receiver.url, "a")
    start = time.monotonic()
    send(outbox, clock, policy=HASTY)
    assert time.monotonic() - start < 5
    [attempt] = only(outbox).log
    assert 0.3 < attempt.seconds < 2
    assert attempt.status is None
    assert only(outbox).failures == 1


def test_one_that_hangs_holds_up_nobody_but_itself(
    store: SongStore, outbox: Outbox, clock: ManualClock, receiver: Receiver
) -> None:
    patient = SendPolicy(at_once=2, timeout_seconds=60, poll_seconds=0.01)
    receiver.answers = [silence]
    with Receiver("127.0.0.2") as other:
        ended(store, receiver.url, "a", "b", "c")
        ended(store, other.url, *"defgh")

        async def work() -> None:
            async with sending(outbox, clock, patient) as sender:
                await until(lambda: len(other.received) == 5)
                assert len(receiver.received) == 1
                await until(lambda: sender.status()["sending"] == 1)
                receiver.__exit__()

        asyncio.run(work())
        assert other.most_at_once == 1


def test_an_endless_answer_is_not_read(
    store: SongStore, outbox: Outbox, clock: ManualClock, receiver: Receiver
) -> None:
    flood = Flood()
    receiver.answers = [flood]
    ended(store, receiver.url, "a")
    start = time.monotonic()
    send(outbox, clock)
    assert time.monotonic() - start < 5
    assert only(outbox).state is DeliveryState.DELIVERED
    receiver.__exit__()
    assert flood.sent_bytes < 16 * 1024**2


def test_after_three_days_a_message_is_given_up(
    store: SongStore, outbox: Outbox, clock: ManualClock, receiver: Receiver
) -> None:
    receiver.answers = [status(500)]
    ended(store, receiver.url, "a")

    async def work() -> None:
        async with sending(outbox, clock):
            for number in range(1, 50):
                await until(has_log(outbox, number))
                if only(outbox).state is DeliveryState.FAILED:
                    return
                clock.now = only(outbox).due_at

    asyncio.run(work())
    assert only(outbox).state is DeliveryState.FAILED
    assert 10 <= len(receiver.received) <= 13


def test_without_a_secret_nothing_is_sent_and_the_log_says_why(
    store: SongStore, outbox: Outbox, clock: ManualClock, receiver: Receiver
) -> None:
    ended(store, receiver.url, "a")
    send(outbox, clock, keys=[])
    assert "STEMSERVE_WEBHOOK_SECRETS" in (only(outbox).log[0].error or "")
    assert only(outbox).state is DeliveryState.PENDING
    assert receiver.received == []


class Broken(OutboundClient):
    def post(self, *_: Any) -> Any:
        raise RuntimeError("a mistake of ours")


def test_a_mistake_of_ours_is_a_failure_and_not_a_loop(
    store: SongStore, outbox: Outbox, clock: ManualClock
) -> None:
    ended(store, "https://example.com/", "a")
    send(outbox, clock, asker=Broken(UrlRules()))
    assert only(outbox).failures == 1
    assert "internal error, see its log" in (only(outbox).log[0].error or "")


class Flaky(Outbox):
    """An outbox whose database is away for the first calls."""

    failures = {"claim": 2, "delivered": 1}  # noqa: RUF012

    def claim(self, *args: Any, **kwargs: Any) -> Delivery | None:
        self._maybe_fail("claim")
        return super().claim(*args, **kwargs)

    def delivered(self, *args: Any) -> None:
        self._maybe_fail("delivered")
        super().delivered(*args)

    def _maybe_fail(self, name: str) -> None:
        if self.failures[name]:
            self.failures[name] -= 1
            raise Unavailable("The database is away.")


def test_a_database_that_is_away_delays_messages_and_loses_none(
    database: Database, store: SongStore, clock: ManualClock, receiver: Receiver
) -> None:
    outbox = Flaky(database, clock)
    ended(store, receiver.url, "a")

    async def work() -> None:
        async with sending(outbox, clock) as sender:
            await until(lambda: outbox.failures["delivered"] == 0)
            assert only(outbox).state is DeliveryState.PENDING
            clock.advance(QUICK.lease_seconds)
            await until(lambda: only(outbox).state is DeliveryState.DELIVERED)
            assert sender.status() == {"sending": 0, "trouble": None}

    asyncio.run(work())
    assert outbox.failures["claim"] == 0
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


def test_what_is_being_sent_at_the_end_is_seen_through(
    store: SongStore, outbox: Outbox, clock: ManualClock, receiver: Receiver
) -> None:
    receiver.answers = [silence]
    ended(store, receiver.url, "a", "b")

    async def work() -> None:
        async with sending(outbox, clock, HASTY):
            await until(lambda: receiver.received)

    asyncio.run(work())
    logs = [only(outbox, name).log for name in "ab"]
    assert sorted(map(len, logs)) == [0, 1]


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (204, SendOutcome.DELIVERED),
        (500, SendOutcome.RETRIED),
        (410, SendOutcome.DEAD),
    ],
)
def test_an_attempt_is_reported_by_its_outcome(
    *,
    store: SongStore,
    outbox: Outbox,
    clock: ManualClock,
    receiver: Receiver,
    code: int,
    outcome: SendOutcome,
) -> None:
    receiver.answers = [status(code)]
    ended(store, receiver.url, "a")
    reported: list[SendEnd] = []
    send(outbox, clock, hooks=Hooks(on_end=reported.append))
    assert reported == [SendEnd(outcome, code)]


def test_an_attempt_is_made_in_the_context_of_its_start(
    store: SongStore, outbox: Outbox, clock: ManualClock, receiver: Receiver
) -> None:
    """A trace is passed on by it; the delivery has that of its job."""
    order: list[object] = []

    @contextmanager
    def on_start(delivery: Delivery) -> Iterator[None]:
        order.append(delivery.traceparent)
        yield
        order.append("left")

    store.add(new_job(webhook=Webhook(receiver.url), traceparent="of the job"))
    (job,) = store.claim("me", lease_seconds=30, include_alone=True)
    store.succeed(job.claim, RESULT)
    end = SendEnd(SendOutcome.DELIVERED, 204)
    send(outbox, clock, hooks=Hooks(on_start, order.append))
    assert order == ["of the job", end, "left"]
