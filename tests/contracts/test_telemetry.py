"""The contract of what metrics read from the database."""

from dataclasses import replace
from datetime import timedelta

import pytest

from serve_app.database import Database
from serve_app.jobs.store import JobStore
from serve_app.jobs.transitions import Retry
from serve_app.stems.kind import separation
from serve_app.stems.request import SeparationJob
from serve_app.telemetry.store import (
    DatabaseFacts,
    OutboxFacts,
    QueueFacts,
    TelemetryStore,
    TenantFacts,
)
from serve_app.webhooks.delivery import Attempt
from serve_app.webhooks.outbox import Outbox
from serve_app.webhooks.target import Webhook
from tests.jobs import NOON, RESULT, ManualClock, SongStore, new_job, new_store

LEASE = 30.0
SONG_BYTES = 9
# As the store adds them up: the song, and the stem of RESULT.
KEPT_BYTES = SONG_BYTES + RESULT.stems[0].size_bytes
FAILED = Attempt(NOON, 0.1, status=500)


@pytest.fixture
def outbox(database: Database, clock: ManualClock) -> Outbox:
    return Outbox(database, clock)


@pytest.fixture
def store(database: Database, clock: ManualClock, outbox: Outbox) -> SongStore:
    return new_store(database, clock, outbox.post)


@pytest.fixture
def telemetry(database: Database, clock: ManualClock) -> TelemetryStore:
    return TelemetryStore(database, clock)


def job(job_id: str, tenant: str = "", webhook: str = "") -> SeparationJob:
    hook = Webhook(webhook) if webhook else None
    found = new_job(job_id, hook, tenant=tenant, client=tenant, audio_seconds=180.0)
    source = replace(found.request.source, size_bytes=SONG_BYTES)
    request = replace(found.request, source=source)
    return found.evolve(request=request, stored_bytes=100)


def begin(store: SongStore) -> SeparationJob:
    [found] = store.claim("me", lease_seconds=LEASE, include_alone=True)
    return found


def succeed(store: SongStore, *jobs: SeparationJob) -> None:
    for each in jobs:
        store.add(each)
        store.succeed(begin(store).claim, RESULT)


def test_an_empty_database_has_no_facts(telemetry: TelemetryStore) -> None:
    assert telemetry.facts() == DatabaseFacts()


def test_jobs_are_counted_by_state_and_the_failed_by_reason(
    store: SongStore, telemetry: TelemetryStore
) -> None:
    succeed(store, job("a"))
    for job_id, code in (("b", "file_lost"), ("c", "file_lost"), ("d", "unreadable")):
        store.add(job(job_id))
        store.fail(begin(store).claim, code, "why")
    store.add(job("e"))
    begin(store)
    store.add(job("f"))
    assert telemetry.facts().jobs.jobs == {
        ("separation", "succeeded", ""): 1,
        ("separation", "failed", "file_lost"): 2,
        ("separation", "failed", "unreadable"): 1,
        ("separation", "running", ""): 1,
        ("separation", "queued", ""): 1,
    }


def test_a_job_that_is_tried_again_has_no_reason(
    store: SongStore, telemetry: TelemetryStore
) -> None:
    store.add(job("a"))
    store.retry(begin(store).claim, Retry("replica_died", "It died.", is_failure=True))
    assert telemetry.facts().jobs.jobs == {("separation", "queued", ""): 1}


def test_jobs_of_every_kind_are_told_apart(
    database: Database, store: SongStore, clock: ManualClock, telemetry: TelemetryStore
) -> None:
    other = JobStore(database, clock, replace(separation(), name="other"))
    store.add(job("a"))
    other.add(job("b"))
    facts = telemetry.facts()
    assert set(facts.queues) == {"separation", "other"}
    assert {kind for kind, _, _ in facts.jobs.jobs} == {"separation", "other"}


def test_the_oldest_job_is_as_old_as_it_could_have_run(
    store: SongStore, clock: ManualClock, telemetry: TelemetryStore
) -> None:
    store.add(job("a"))
    clock.advance(10)
    store.add(job("b").evolve(created_at=clock()))
    clock.advance(5)
    queues = {"separation": QueueFacts(15.0, 360.0)}
    assert telemetry.facts().queues == queues
    begin(store)
    assert telemetry.facts().queues == {"separation": QueueFacts(5.0, 180.0)}


def test_a_job_that_waits_for_its_next_attempt_is_not_old(
    store: SongStore, clock: ManualClock, telemetry: TelemetryStore
) -> None:
    store.add(job("a"))
    clock.advance(20)
    again = Retry("replica_died", "It died.", is_failure=True, delay_seconds=5.0)
    store.retry(begin(store).claim, again)
    clock.advance(3)
    assert telemetry.facts().queues["separation"].oldest_seconds == 0
    clock.advance(6)
    assert telemetry.facts().queues["separation"].oldest_seconds == 4


def test_a_job_that_waits_for_another_with_the_same_work_is_not_old(
    store: SongStore, clock: ManualClock, telemetry: TelemetryStore
) -> None:
    store.add(job("a").evolve(same_work="same"))
    begin(store)
    store.add(job("b").evolve(same_work="same"))
    clock.advance(9)
    assert telemetry.facts().queues == {"separation": QueueFacts(0.0, 180.0)}


def test_running_jobs_without_a_valid_lease_are_counted(
    store: SongStore, clock: ManualClock, telemetry: TelemetryStore
) -> None:
    store.add(job("a"))
    begin(store)
    assert telemetry.facts().leases_expired == {}
    clock.advance(LEASE + 1)
    assert telemetry.facts().leases_expired == {"separation": 1}


def test_stored_bytes_are_those_of_jobs_that_have_not_expired(
    store: SongStore, clock: ManualClock, telemetry: TelemetryStore
) -> None:
    succeed(store, job("a"))
    clock.advance(600)
    succeed(store, job("b"))
    store.add(job("c"))
    stored = telemetry.facts().jobs.stored_bytes
    assert stored == {"separation": 2 * KEPT_BYTES + 100}
    clock.advance(1_300)
    stored = telemetry.facts().jobs.stored_bytes
    assert stored == {"separation": KEPT_BYTES + 100}


def test_messages_are_old_only_while_nobody_sends_them(
    store: SongStore, outbox: Outbox, clock: ManualClock, telemetry: TelemetryStore
) -> None:
    succeed(store, job("a", webhook="https://one.example/hook"))
    clock.advance(8)
    assert telemetry.facts().outbox == {"webhook": OutboxFacts(1, 0, 8.0)}
    claimed = outbox.claim(60.0)
    assert claimed is not None
    outbox.failed(claimed, FAILED, clock() + timedelta(seconds=300))
    clock.advance(100)
    assert telemetry.facts().outbox == {"webhook": OutboxFacts(1, 0, 0.0)}


def test_messages_that_are_never_sent_again_are_dead(
    store: SongStore, outbox: Outbox, clock: ManualClock, telemetry: TelemetryStore
) -> None:
    hosts = ("one", "two", "three")
    urls = [f"https://{host}.example/hook" for host in hosts]
    succeed(store, *(job(url[8], webhook=url) for url in urls if url != urls[2]))
    succeed(store, job("c", webhook=urls[2]))
    first = outbox.claim(60.0)
    second = outbox.claim(60.0)
    third = outbox.claim(60.0)
    assert first
    assert second
    assert third
    outbox.delivered(first, Attempt(NOON, 0.1, status=204))
    outbox.disabled(second, Attempt(NOON, 0.1, status=410))
    outbox.failed(third, FAILED, clock() + timedelta(days=30))
    assert telemetry.facts().outbox == {"webhook": OutboxFacts(0, 2, 0.0)}


def test_tenants_are_ranked_by_the_audio_of_today_without_their_names(
    store: SongStore, clock: ManualClock, telemetry: TelemetryStore
) -> None:
    for number in range(7):
        tenant = f"tenant-{number}"
        songs = [job(f"{number}-{each}", tenant) for each in range(number + 1)]
        succeed(store, *songs)
    facts = telemetry.facts()
    most = tuple(180.0 * songs for songs in (7, 6, 5, 4, 3))
    assert facts.tenants == TenantFacts(7, most)
    assert "tenant-" not in repr(facts)
    clock.advance(24 * 3600)
    assert telemetry.facts().tenants == TenantFacts()
