"""The contract of the job store."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import Connection

from serve_app.database import Database
from serve_app.errors import JobNotFound, LeaseLost, QueueFull
from serve_app.idempotency.response import StoredResponse
from serve_app.idempotency.store import ResponseReceipt, StoredResponses
from serve_app.jobs.job import NONE_PASSED_BY, Claim, PassedBy, State
from serve_app.jobs.kind import Share
from serve_app.jobs.transitions import MAX_CLAIMS, Retry
from serve_app.stems.options import Priority
from serve_app.stems.request import SeparationJob, Stage
from serve_app.webhooks.message import Message
from serve_app.webhooks.target import Webhook, WebhookEvent
from tests.jobs import (
    NOON,
    RESULT,
    ManualClock,
    SongStore,
    answer,
    asking,
    new_job,
    new_store,
)

LEASE = 30.0
KEPT = 1800.0
MANY = 1_000_000
FAILURE = Retry("unavailable", "The weights are gone.", is_failure=True)
INNOCENT = Retry("replica_died", "The replica died.", is_failure=False)

Write = Callable[[SongStore, Claim], object]

WRITES: dict[str, Write] = {
    "report": lambda store, claim: store.report(claim, Stage.SEPARATE, 0.5),
    "succeed": lambda store, claim: store.succeed(claim, RESULT),
    "fail": lambda store, claim: store.fail(claim, "code", "why"),
    "retry": lambda store, claim: store.retry(claim, FAILURE),
    "release": lambda store, claim: store.release(claim),
}
ENDINGS = {name: write for name, write in WRITES.items() if name != "report"}


def add(store: SongStore, *jobs: SeparationJob) -> None:
    for job in jobs:
        store.add(job)


def claim_some(
    store: SongStore,
    most: int,
    owner: str = "me",
    include_alone: bool = True,
    passed_by: PassedBy = NONE_PASSED_BY,
) -> list[SeparationJob]:
    return store.claim(
        owner,
        lease_seconds=LEASE,
        include_alone=include_alone,
        most=most,
        passed_by=passed_by,
    )


def claim(
    store: SongStore, owner: str = "me", include_alone: bool = True
) -> SeparationJob | None:
    return next(iter(claim_some(store, 1, owner, include_alone)), None)


def claimed(store: SongStore, owner: str = "me") -> Claim:
    job = claim(store, owner)
    assert job is not None
    return job.claim


def in_threads(number: int, work: Callable[[int], object]) -> None:
    """Run `work` in threads that start together; raise the first error of any."""
    barrier = threading.Barrier(number)

    def started(index: int) -> None:
        barrier.wait()
        work(index)

    with ThreadPoolExecutor(number) as pool:
        list(pool.map(started, range(number)))


def test_a_job_comes_back_as_it_was_added(store: SongStore) -> None:
    job = new_job()
    add(store, job)
    assert store.get("a") == job


def test_several_jobs_are_found_at_once(store: SongStore) -> None:
    add(store, *(new_job(name) for name in "abc"))
    assert store.find(["a", "c", "nobody"]) == {
        name: store.get(name) for name in ("a", "c")
    }
    assert store.find([]) == {}


def test_another_tenants_job_is_not_found(store: SongStore) -> None:
    add(store, new_job("a", tenant="acme"), new_job("b"))
    assert store.find_of("acme", "a") == store.get("a")
    assert store.find_of("", "b") == store.get("b")
    for tenant, job_id in (("globex", "a"), ("", "a"), ("acme", "b"), ("acme", "c")):
        assert store.find_of(tenant, job_id) is None


def test_a_claim_is_renewed_beside_an_older_one_of_the_same_job(
    store: SongStore,
) -> None:
    add(store, new_job())
    old = claimed(store)
    store.release(old)
    new = claimed(store)
    for claims in ([old, new], [new, old]):
        assert store.renew(claims, LEASE).lost == {old}


def test_times_come_back_in_utc_whatever_zone_they_were_in(store: SongStore) -> None:
    berlin = timezone(timedelta(hours=1))
    moment = datetime(2026, 11, 20, 13, 0, 0, 123457, tzinfo=berlin)
    add(store, new_job(created_at=moment))
    found = store.get("a").created_at
    assert found == moment
    assert found.utcoffset() == timedelta(0)


def test_an_unknown_job_is_not_found(store: SongStore) -> None:
    with pytest.raises(JobNotFound, match="send it again"):
        store.get("a")


def test_an_id_is_accepted_once(store: SongStore) -> None:
    add(store, new_job())
    with pytest.raises(ValueError, match="exists already"):
        add(store, new_job())


def test_a_full_queue_refuses_and_says_when_to_come_back(
    database: Database, clock: ManualClock
) -> None:
    store = new_store(database, clock, max_queued=1)
    store.add(new_job("a"))
    with pytest.raises(QueueFull) as caught:
        store.add(new_job("b"))
    assert caught.value.retry_after_seconds > 0
    with pytest.raises(JobNotFound):
        store.get("b")


def test_running_jobs_take_no_place_in_the_queue(
    database: Database, clock: ManualClock
) -> None:
    store = new_store(database, clock, max_queued=1)
    store.add(new_job("a"))
    claim(store)
    store.add(new_job("b"))
    assert store.get("b").state is State.QUEUED


def test_a_queue_never_overflows_when_many_add_at_once(
    database: Database, clock: ManualClock
) -> None:
    store = new_store(database, clock, max_queued=12)
    refused = []

    def add_some(index: int) -> None:
        for number in range(5):
            try:
                store.add(new_job(f"{index}-{number}"))
            except QueueFull:
                refused.append(index)

    in_threads(6, add_some)
    assert store.counts()[State.QUEUED] == 12
    assert len(refused) == 6 * 5 - 12


def test_listed_jobs_come_newest_first(store: SongStore) -> None:
    for minute in (2, 0, 3, 1):
        add(store, new_job(f"at-{minute}", created_at=NOON + timedelta(minutes=minute)))
    assert [job.id for job in store.listed("", 3)] == ["at-3", "at-2", "at-1"]


def test_deleted_and_expired_jobs_take_no_place_in_the_list(
    store: SongStore, database: Database, clock: ManualClock
) -> None:
    names = ("kept", "expired", "running", "waiting")
    for minute, name in enumerate(names):
        add(store, new_job(name, created_at=NOON + timedelta(minutes=minute)))
    for name, seconds in (("kept", KEPT), ("expired", 1.0)):
        mine = claimed(store)
        assert mine.job_id == name
        keeping = new_store(database, clock, retention_seconds=seconds)
        keeping.succeed(mine, RESULT)
    assert claimed(store).job_id == "running"
    for name in ("running", "waiting"):
        store.cancel(name)
    assert [job.id for job in store.listed("", 1)] == ["expired"]
    clock.advance(1)
    assert [job.id for job in store.listed("", 1)] == ["kept"]


def test_a_list_is_of_one_tenant_and_others_take_no_place_in_it(
    store: SongStore,
) -> None:
    """Names must match exactly, and jobs without a tenant belong to no tenant."""
    long = "n" * 63
    tenants = ("", "a", "A", "a_", "a%", f"{long}a", f"{long}b")
    for minute in range(3):
        for tenant in tenants:
            made_at = NOON + timedelta(minutes=minute)
            name = f"{tenants.index(tenant)}-{minute}"
            add(store, new_job(name, tenant=tenant, created_at=made_at))
    for index, tenant in enumerate(tenants):
        found = store.listed(tenant, 2)
        assert [job.id for job in found] == [f"{index}-2", f"{index}-1"]
        assert {job.tenant for job in found} == {tenant}
    assert store.listed("nobody", 2) == []


def test_counts_name_every_state(store: SongStore) -> None:
    add(store, new_job("a"), new_job("b"), new_job("c"))
    claim(store)
    assert store.counts() == {
        State.QUEUED: 2,
        State.RUNNING: 1,
        State.SUCCEEDED: 0,
        State.FAILED: 0,
        State.CANCELLED: 0,
    }


def test_a_claim_makes_the_job_run_for_its_owner(
    store: SongStore, clock: ManualClock
) -> None:
    add(store, new_job())
    clock.advance(5)
    job = claim(store, "me")
    assert job == store.get("a")
    assert job is not None
    assert (job.state, job.owner, job.attempt) == (State.RUNNING, "me", 1)
    assert job.lease_expires_at == clock.now + timedelta(seconds=LEASE)
    assert job.updated_at == clock.now


def test_the_oldest_job_is_claimed_first(store: SongStore) -> None:
    add(store, new_job("young", created_at=NOON), new_job("z", created_at=NOON))
    add(store, new_job("old", created_at=NOON - timedelta(seconds=1)))
    assert [claimed(store).job_id for _ in range(3)] == ["old", "young", "z"]
    assert claim(store) is None


def test_a_job_of_higher_priority_is_claimed_before_older_ones(
    store: SongStore,
) -> None:
    for number, priority in enumerate(["low", "normal", "high", "normal", "high"]):
        options = replace(new_job().request.options, priority=Priority(priority))
        made_at = NOON + timedelta(seconds=number)
        rank = options.priority.rank
        job = new_job(str(number), created_at=made_at, priority=rank)
        store.add(asking(job, options=options))
    claims = [claimed(store).job_id for _ in range(5)]
    assert claims == ["2", "4", "1", "3", "0"]
    assert store.get("2").request.options.priority is Priority.HIGH


def of(client: str, name: str, seconds: int = 60, **changes: Any) -> SeparationJob:
    """Return a client's job for a song of this duration."""
    job = new_job(name, client=client, cost_seconds=float(seconds), **changes)
    return asking(job, source=replace(job.request.source, samples=44_100 * seconds))


def turns(store: SongStore, passed_by: PassedBy = NONE_PASSED_BY) -> list[str]:
    """Claim all claimable jobs; return their ids in the order of their turns."""
    jobs = claim_some(store, MANY, passed_by=passed_by)
    return [job.id for job in jobs]


def test_a_client_waits_behind_others_for_what_it_has_under_way(
    store: SongStore,
) -> None:
    add(store, *(of("a", f"a{number}") for number in range(4)))
    claimed(store)
    add(store, of("b", "b0"), of("b", "b1"), of("c", "c0"))
    assert turns(store) == ["b0", "c0", "a1", "b1", "a2", "a3"]


def test_a_short_song_goes_before_a_long_one_that_came_no_longer_ago_than_it_lasts(
    store: SongStore,
) -> None:
    add(store, of("a", "long", 3600))
    for name, minutes in (("late", 61), ("short", 10)):
        created_at = NOON + timedelta(minutes=minutes)
        add(store, of(name, name, created_at=created_at))
    assert turns(store) == ["short", "long", "late"]


def test_a_job_that_only_waits_for_another_is_not_counted(store: SongStore) -> None:
    add(store, of("a", "first", same_work="song"), of("a", "same", same_work="song"))
    add(store, of("a", "next"), of("b", "later", 150))
    assert turns(store) == ["first", "next", "later"]


def test_a_client_fills_no_more_than_its_share_of_the_queue(
    database: Database, clock: ManualClock
) -> None:
    share = Share(queued_jobs=2, disk_bytes=MANY)
    store = new_store(database, clock, max_queued=9, share=share)
    for name in ("a0", "a1"):
        store.add(of("a", name))
    with pytest.raises(QueueFull, match="2 of your jobs are queued") as full:
        store.add(of("a", "a2"))
    assert full.value.retry_after_seconds > 0
    with pytest.raises(QueueFull, match="2 of your jobs are queued"):
        store.check_room("a")
    store.check_room("b")
    store.add(of("b", "b0"))
    claimed(store)
    store.add(of("a", "a2"))


def test_a_clients_unfinished_jobs_need_no_more_disk_than_its_share(
    database: Database, clock: ManualClock
) -> None:
    share = Share(queued_jobs=9, disk_bytes=100)
    store = new_store(database, clock, max_queued=9, share=share)
    store.add(of("a", "a0", disk_bytes=101))
    running = claimed(store)
    with pytest.raises(QueueFull, match=r"unfinished jobs reserve .* per client"):
        store.add(of("a", "a1", disk_bytes=10))
    with pytest.raises(QueueFull, match=r"unfinished jobs reserve .* per client"):
        store.check_room("a")
    store.add(of("b", "b0", disk_bytes=60))
    with pytest.raises(QueueFull, match=r"unfinished jobs reserve .* per client"):
        store.add(of("b", "b1", disk_bytes=41))
    store.add(of("b", "b1", disk_bytes=40))
    needed = [store.disk_bytes(), store.disk_bytes("a"), store.disk_bytes("b")]
    assert needed == [201, 101, 100]
    store.succeed(running, RESULT)
    assert [store.disk_bytes(), store.disk_bytes("a")] == [100, 0]
    store.add(of("a", "a1", disk_bytes=10))


def test_skipped_jobs_are_not_claimed(store: SongStore) -> None:
    add(store, of("a", "a0", 601), of("a", "a1", 600), of("a", "a2"))
    add(store, of("b", "b0", 601), of("c", "c0", 601))
    assert turns(store, PassedBy(frozenset("ab"), long_jobs=True)) == []
    assert turns(store, PassedBy(frozenset("ab"))) == ["c0"]
    assert turns(store, PassedBy(long_jobs=True)) == ["a1", "a2"]
    assert turns(store, PassedBy(long_jobs_of=frozenset("a"))) == ["b0"]
    assert turns(store) == ["a0"]


def test_each_of_many_jobs_is_claimed_exactly_once(store: SongStore) -> None:
    add(store, *(new_job(f"job-{number}") for number in range(200)))
    found: list[Claim] = []

    def claim_all(index: int) -> None:
        while job := claim(store, f"owner-{index}"):
            found.append(job.claim)

    in_threads(6, claim_all)
    assert sorted(one.job_id for one in found) == sorted(
        f"job-{number}" for number in range(200)
    )
    assert {one.attempt for one in found} == {1}


def test_several_jobs_are_claimed_in_turn(store: SongStore, clock: ManualClock) -> None:
    add(store, new_job("lost", created_at=NOON - timedelta(seconds=9)))
    claim(store, "dead")
    clock.advance(LEASE)
    for index in range(4):
        add(store, new_job(str(index), created_at=NOON + timedelta(seconds=index)))
    found = claim_some(store, 3)
    assert [job.id for job in found] == ["lost", "0", "1"]
    assert found == [store.get(job.id) for job in found]
    assert {(job.owner, job.attempt) for job in found} == {("me", 1), ("me", 2)}
    assert [job.id for job in claim_some(store, 3)] == ["2", "3"]
    assert claim_some(store, 3) == []


@pytest.mark.parametrize("doubt", ["alone", "cancelled"])
def test_a_claim_ends_before_the_first_job_that_needs_a_decision(
    store: SongStore, clock: ManualClock, doubt: str
) -> None:
    for index in range(3):
        add(store, new_job(str(index), created_at=NOON + timedelta(seconds=index)))
    if doubt == "alone":
        alone = Retry("replica_died", "died", is_failure=False, run_alone=True)
        first, second = (claimed(store) for _ in range(2))
        store.release(first)
        store.retry(second, alone)
    else:
        first, second = (claimed(store) for _ in range(2))
        store.release(first)
        store.cancel(second.job_id)
        clock.advance(LEASE)
    assert [job.id for job in claim_some(store, 3)] == ["0"]
    beside = claim_some(store, 3, include_alone=False)
    assert [job.id for job in beside] == ([] if doubt == "alone" else ["2"])


def test_many_who_claim_several_share_them_out(store: SongStore) -> None:
    add(store, *(new_job(f"job-{number:03d}") for number in range(200)))
    found: list[Claim] = []

    def claim_all(index: int) -> None:
        while jobs := claim_some(store, 7, f"owner-{index}"):
            found.extend(job.claim for job in jobs)

    in_threads(6, claim_all)
    assert len(found) == len({one.job_id for one in found}) == 200
    assert {one.attempt for one in found} == {1}


def test_an_expired_lease_is_claimed_again_and_is_no_failure(
    store: SongStore, clock: ManualClock
) -> None:
    add(store, new_job())
    first = claimed(store, "dead")
    store.report(first, Stage.SEPARATE, 0.7)
    clock.advance(LEASE - 1)
    assert claim(store, "alive") is None
    clock.advance(1)
    job = claim(store, "alive")
    assert job is not None
    assert (job.attempt, job.failures, job.owner) == (2, 0, "alive")
    assert (job.stage, job.progress) == (None, 0.0)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("heir", ["other", "same"])
def test_a_claim_with_a_lost_lease_can_write_nothing(
    store: SongStore, clock: ManualClock, write: Write, heir: str
) -> None:
    """This holds even if the same owner has the job again, in a later attempt."""
    add(store, new_job())
    lost = claimed(store, "same")
    clock.advance(LEASE)
    claimed(store, heir)
    before = store.get("a")
    with pytest.raises(LeaseLost):
        write(store, lost)
    assert store.get("a") == before


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_an_attempt_that_has_ended_can_write_nothing(
    store: SongStore, ending: Write, write: Write
) -> None:
    add(store, new_job())
    mine = claimed(store)
    ending(store, mine)
    before = store.get("a")
    with pytest.raises(LeaseLost):
        write(store, mine)
    assert store.get("a") == before


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_job_that_is_gone_can_not_be_written(store: SongStore, write: Write) -> None:
    with pytest.raises(LeaseLost):
        write(store, Claim("gone", "me", 1))


def test_a_renewed_lease_holds_longer(store: SongStore, clock: ManualClock) -> None:
    add(store, new_job("a"), new_job("b"))
    mine = [claimed(store), claimed(store)]
    clock.advance(LEASE - 1)
    renewal = store.renew(mine[:1], LEASE)
    assert not renewal.lost
    assert not renewal.cancel_requested
    clock.advance(LEASE - 1)
    assert claimed(store, "other").job_id == "b"
    assert claim(store, "other") is None


def test_a_renewal_names_what_is_lost_and_what_is_unwanted(
    store: SongStore, clock: ManualClock
) -> None:
    add(store, new_job("a"), new_job("b"), new_job("c"))
    first, second, third = claimed(store), claimed(store), claimed(store)
    store.succeed(first, RESULT)
    store.cancel("b")
    gone = Claim("gone", "me", 1)
    renewal = store.renew([first, second, third, gone], LEASE)
    assert renewal.lost == {first, gone}
    assert renewal.cancel_requested == {second}


def test_renewing_nothing_is_fine(store: SongStore) -> None:
    assert not store.renew([], LEASE).lost


def test_a_report_is_seen_by_readers(store: SongStore, clock: ManualClock) -> None:
    add(store, new_job())
    mine = claimed(store)
    clock.advance(3)
    assert store.report(mine, Stage.SEPARATE, 0.25) is False
    job = store.get("a")
    assert (job.stage, job.progress) == (Stage.SEPARATE, 0.25)
    assert job.updated_at == clock.now


def test_success_publishes_the_result_for_as_long_as_it_is_kept(
    store: SongStore, clock: ManualClock
) -> None:
    add(store, new_job())
    mine = claimed(store)
    store.succeed(mine, RESULT)
    job = store.get("a")
    assert (job.state, job.progress, job.stage) == (State.SUCCEEDED, 1.0, None)
    assert job.result == RESULT
    assert job.expires_at == clock.now + timedelta(seconds=KEPT)
    assert job.owner is None


def test_a_failed_job_says_why_and_is_not_tried_again(
    store: SongStore, clock: ManualClock
) -> None:
    add(store, new_job())
    store.fail(claimed(store), "unreadable_audio", "It is a text file.")
    job = store.get("a")
    assert (job.state, job.error_code) == (State.FAILED, "unreadable_audio")
    assert job.error == "It is a text file."
    assert job.expires_at == clock.now + timedelta(seconds=KEPT)
    assert claim(store) is None


def test_failed_attempts_are_limited_and_the_reason_is_kept(store: SongStore) -> None:
    add(store, new_job())
    for failures in (1, 2):
        store.retry(claimed(store), FAILURE)
        job = store.get("a")
        assert (job.state, job.failures) == (State.QUEUED, failures)
    store.retry(claimed(store), FAILURE)
    job = store.get("a")
    assert (job.state, job.failures) == (State.FAILED, 3)
    assert (job.error_code, job.error) == (FAILURE.error_code, FAILURE.error)


def test_a_success_forgets_earlier_failures(store: SongStore) -> None:
    add(store, new_job())
    store.retry(claimed(store), FAILURE)
    store.succeed(claimed(store), RESULT)
    assert store.get("a").error is None


def test_a_delayed_retry_is_not_claimed_before_its_time(
    store: SongStore, clock: ManualClock
) -> None:
    add(store, new_job("a"), new_job("b", created_at=NOON + timedelta(seconds=1)))
    later = Retry("unavailable", "down", is_failure=True, delay_seconds=10)
    store.retry(claimed(store), later)
    assert claimed(store).job_id == "b"
    assert claim(store) is None
    clock.advance(10)
    assert claimed(store).job_id == "a"


def test_attempts_that_are_no_failures_are_limited_too(store: SongStore) -> None:
    add(store, new_job())
    for _ in range(MAX_CLAIMS):
        store.retry(claimed(store), INNOCENT)
    assert claim(store) is None
    job = store.get("a")
    assert (job.state, job.failures) == (State.FAILED, 0)
    assert job.error is not None
    assert job.error.endswith(INNOCENT.error)


def test_excused_attempts_are_unlimited(store: SongStore) -> None:
    """A store that is unavailable for hours must not make jobs fail."""
    add(store, new_job())
    away = Retry("storage_unavailable", "It is away.", is_failure=False, excused=True)
    for _ in range(2 * MAX_CLAIMS):
        store.retry(claimed(store), away)
    for _ in range(MAX_CLAIMS):
        store.retry(claimed(store), INNOCENT)
    assert claim(store) is None
    assert store.get("a").state is State.FAILED


def test_a_job_that_kills_every_owner_is_failed_and_others_go_on(
    store: SongStore, clock: ManualClock
) -> None:
    add(store, new_job("a"))
    for attempt in range(1, MAX_CLAIMS + 1):
        assert claimed(store).attempt == attempt
        clock.advance(LEASE)
    add(store, new_job("b", created_at=clock.now))
    assert claimed(store).job_id == "b"
    job = store.get("a")
    assert (job.state, job.error_code) == (State.FAILED, "abandoned")
    assert job.expires_at == clock.now + timedelta(seconds=KEPT)


def test_a_released_job_is_claimed_at_once_without_a_failure(store: SongStore) -> None:
    add(store, new_job())
    store.release(claimed(store, "old"))
    assert store.get("a").state is State.QUEUED
    job = claim(store, "new")
    assert job is not None
    assert (job.attempt, job.failures) == (2, 0)


def test_a_lone_job_waits_for_a_caller_with_nothing_else_and_is_not_overtaken(
    store: SongStore,
) -> None:
    add(store, new_job("a"), new_job("b", created_at=NOON + timedelta(seconds=1)))
    alone = Retry("replica_died", "died", is_failure=False, run_alone=True)
    store.retry(claimed(store), alone)
    assert claim(store, include_alone=False) is None
    job = claim(store, include_alone=True)
    assert job is not None
    assert (job.id, job.run_alone) == ("a", True)


def test_a_lone_job_does_not_hold_up_older_ones(store: SongStore) -> None:
    add(store, new_job("a", created_at=NOON + timedelta(seconds=1), run_alone=True))
    add(store, new_job("b"))
    job = claim(store, include_alone=False)
    assert job is not None
    assert job.id == "b"


def test_cancelling_a_queued_job_ends_it_at_once(
    store: SongStore, clock: ManualClock
) -> None:
    add(store, new_job())
    job = store.cancel("a")
    assert job == store.get("a")
    assert job.state is State.CANCELLED
    assert job.expires_at == clock.now + timedelta(seconds=KEPT)
    assert claim(store) is None


def test_cancelling_a_running_job_tells_its_owner(store: SongStore) -> None:
    add(store, new_job())
    mine = claimed(store)
    job = store.cancel("a")
    assert (job.state, job.cancel_requested) == (State.RUNNING, True)
    assert store.report(mine, Stage.SEPARATE, 0.5) is True


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_what_was_cancelled_ends_as_cancelled_however_it_ends(
    store: SongStore, clock: ManualClock, ending: Write
) -> None:
    add(store, new_job())
    mine = claimed(store)
    store.cancel("a")
    cancelled_at = clock.now
    clock.advance(5)
    ending(store, mine)
    job = store.get("a")
    assert (job.state, job.result) == (State.CANCELLED, None)
    assert job.expires_at == cancelled_at + timedelta(seconds=KEPT)


@pytest.mark.parametrize("cancel_first", [True, False])
def test_a_cancelled_job_of_a_dead_owner_is_not_run_again(
    store: SongStore, clock: ManualClock, cancel_first: bool
) -> None:
    add(store, new_job())
    claimed(store)
    if cancel_first:
        store.cancel("a")
        clock.advance(LEASE)
    else:
        clock.advance(LEASE)
        store.cancel("a")
    assert claim(store) is None
    assert store.get("a").state is State.CANCELLED


@pytest.mark.parametrize("ending", ["succeed", "fail"])
def test_cancelling_what_has_ended_changes_nothing(
    store: SongStore, database: Database, clock: ManualClock, ending: str
) -> None:
    add(store, new_job())
    ENDINGS[ending](store, claimed(store))
    before = store.get("a")
    clock.advance(5)
    assert new_store(database, clock, retention_seconds=0).cancel("a") == before
    assert store.get("a") == before


def test_cancelling_an_unknown_job_says_so(store: SongStore) -> None:
    with pytest.raises(JobNotFound):
        store.cancel("a")


def test_a_cancel_and_a_success_at_once_leave_one_of_the_two(store: SongStore) -> None:
    """The job is, or becomes, what `cancel` returned."""
    for number in range(20):
        job_id = f"job-{number}"
        add(store, new_job(job_id))
        mine = claimed(store)
        answers: list[SeparationJob] = []

        def race(
            index: int, mine: Claim = mine, answers: list[SeparationJob] = answers
        ) -> None:
            if index:
                store.succeed(mine, RESULT)
            else:
                answers.append(store.cancel(mine.job_id))

        in_threads(2, race)
        end = store.get(job_id)
        if answers[0].cancel_requested:
            assert (end.state, end.result) == (State.CANCELLED, None)
        else:
            assert (end.state, end.result) == (State.SUCCEEDED, RESULT)


def test_only_what_has_ended_and_had_its_time_is_due(
    store: SongStore, database: Database, clock: ManualClock
) -> None:
    at_once = new_store(database, clock, retention_seconds=0)
    later = new_store(database, clock, retention_seconds=KEPT + 1)
    add(store, *(new_job(name) for name in ("done", "failed", "cancelled", "running")))
    add(store, new_job("queued", created_at=NOON + timedelta(seconds=1)))
    for _ in range(4):
        mine = claimed(store)
        if mine.job_id == "done":
            store.succeed(mine, RESULT)
        elif mine.job_id == "failed":
            later.fail(mine, "code", "why")
        else:
            at_once.cancel(mine.job_id)
            if mine.job_id == "cancelled":
                store.release(mine)
    clock.advance(KEPT)
    assert [job.id for job in store.due_for_expiry(9)] == ["cancelled", "done"]
    assert [job.id for job in store.due_for_expiry(1)] == ["cancelled"]


def test_only_what_has_ended_is_removed(store: SongStore) -> None:
    add(store, new_job("a"), new_job("b"))
    claimed(store)
    for job_id in ("a", "b", "unknown"):
        store.remove(job_id)
    assert len(store.listed("", 9)) == 2
    store.cancel("b")
    store.remove("b")
    assert [job.id for job in store.listed("", 9)] == ["a"]


def test_another_store_on_the_same_database_sees_the_same_jobs(
    store: SongStore, database_url: str, clock: ManualClock
) -> None:
    add(store, new_job())
    with Database(database_url) as database:
        mine = claimed(new_store(database, clock))
    assert store.get("a").claim == mine


def twins(store: SongStore, number: int) -> list[str]:
    """Add jobs of one song; all but the first wait."""
    names = [f"job-{index}" for index in range(number)]
    for index, name in enumerate(names):
        made_at = NOON + timedelta(seconds=index)
        store.add(new_job(name, same_work="song", created_at=made_at))
    return names


def test_the_same_song_is_worked_on_once(store: SongStore) -> None:
    first, second, third = twins(store, 3)
    assert store.get(second).waits_for == store.get(third).waits_for == first
    mine = claimed(store)
    assert mine.job_id == first
    assert claim(store) is None
    store.succeed(mine, RESULT)
    # Each reuses the stems of the first.
    assert {claimed(store).job_id, claimed(store).job_id} == {second, third}


@pytest.mark.parametrize("ending", ["failed", "cancelled", "cancelled while it runs"])
def test_a_waiting_job_takes_over_when_the_first_fails(
    store: SongStore, ending: str
) -> None:
    first, second, third = twins(store, 3)
    if ending == "cancelled":
        store.cancel(first)
    else:
        mine = claimed(store)
        if ending == "failed":
            store.fail(mine, "code", "why")
        else:
            store.cancel(first)
            assert claim(store) is None
            store.release(mine)
    assert claimed(store).job_id == second
    assert store.get(third).waits_for == second
    assert claim(store) is None


def test_nobody_waits_for_what_was_cancelled(store: SongStore) -> None:
    (first,) = twins(store, 1)
    claimed(store)
    store.cancel(first)
    add(store, new_job("b", same_work="song"))
    assert store.get("b").waits_for is None


def test_nobody_is_left_to_wait_for_one_that_waited_and_was_cancelled(
    store: SongStore,
) -> None:
    first, second, third = twins(store, 3)
    store.cancel(second)
    store.cancel(first)
    assert claimed(store).job_id == third


def test_one_that_waits_can_be_cancelled(store: SongStore) -> None:
    first, second = twins(store, 2)
    assert store.cancel(second).state is State.CANCELLED
    store.succeed(claimed(store), RESULT)
    assert claim(store) is None
    assert store.get(first).state is State.SUCCEEDED


def test_nobody_waits_for_ever_for_a_job_that_ends_just_then(store: SongStore) -> None:
    """A job with the same work is added just when the first one ends."""
    for index in range(20):
        song = f"song-{index}"
        add(store, new_job(f"first-{index}", same_work=song))
        mine = claimed(store)

        def act(number: int, mine: Claim = mine, song: str = song) -> None:
            if number:
                add(store, new_job(f"{mine.job_id}-{number}", same_work=song))
            else:
                store.succeed(mine, RESULT)

        in_threads(3, act)
        for _ in range(2):
            store.succeed(claimed(store), RESULT)


def test_jobs_of_the_same_file_or_sound_are_found_newest_first(
    store: SongStore,
) -> None:
    for index in range(3):
        made_at = NOON + timedelta(seconds=index)
        keys: dict[str, Any] = {"same_input": f"file-{index % 2}", "same_work": "song"}
        add(store, new_job(str(index), created_at=made_at, **keys))
    assert [job.id for job in store.with_same_work("song")] == ["2", "1", "0"]
    assert [job.id for job in store.with_same_input("file-0")] == ["2", "0"]
    assert store.with_same_input("song") == []


def test_failed_and_cancelled_jobs_are_not_reused(store: SongStore) -> None:
    """The successful job is found however many others follow it."""
    add(store, new_job("0", same_input="file", same_work="song"))
    for index in range(1, 6):
        made_at = NOON + timedelta(seconds=index)
        keys: dict[str, Any] = {
            "same_input": "file",
            "same_work": "song",
            "created_at": made_at,
        }
        add(store, new_job(str(index), **keys))
        store.cancel(str(index))
    assert [job.id for job in store.with_same_input("file")] == ["0"]
    assert [job.id for job in store.with_same_work("song")] == ["0"]


def test_a_job_can_be_added_that_has_ended(
    database: Database, clock: ManualClock
) -> None:
    store = new_store(database, clock, max_queued=0)
    ended = new_job(state=State.SUCCEEDED, result=RESULT, progress=1.0)
    store.add(ended)
    assert store.get("a") == ended.evolve(stored_bytes=store.kind.stored_bytes(ended))
    assert claim(store) is None


def test_a_job_keeps_its_webhook(store: SongStore) -> None:
    webhook = Webhook("https://example.com/hook", (WebhookEvent.FAILED,))
    add(store, new_job(webhook=webhook, tenant="me"))
    assert (store.get("a").request.webhook, store.get("a").tenant) == (webhook, "me")


def test_the_end_of_a_job_is_told_in_its_transaction(
    database: Database, clock: ManualClock
) -> None:
    told: list[tuple[str, str]] = []
    wanted = Webhook("https://example.com/hook")

    def post(connection: Connection, messages: Sequence[Message]) -> None:
        told.extend((message.job_id, message.event) for message in messages)
        if told[-1][0] == "b":
            raise ConnectionError("the telling fails")

    store = new_store(database, clock, post)
    add(store, new_job("a", wanted))
    add(store, new_job("b", wanted, created_at=NOON + timedelta(seconds=1)))
    store.succeed(claimed(store), RESULT)
    mine = claimed(store)
    with pytest.raises(ConnectionError):
        store.fail(mine, "code", "why")
    assert store.get("b").state is State.RUNNING
    ended: dict[str, Any] = {"state": State.SUCCEEDED, "result": RESULT}
    add(store, new_job("c", wanted), new_job("d", wanted, **ended))
    store.cancel("c")
    assert told == [
        ("a", WebhookEvent.COMPLETED),
        ("b", WebhookEvent.FAILED),
        ("d", WebhookEvent.COMPLETED),
        ("c", WebhookEvent.CANCELLED),
    ]


def test_the_same_request_adds_one_job(database: Database, clock: ManualClock) -> None:
    store = new_store(database, clock, max_queued=1)
    assert store.add(new_job("a"), ResponseReceipt(answer())) is None
    other = answer(fingerprint="other")
    # Even if the queue is full.
    assert store.add(new_job("b"), ResponseReceipt(other)) == answer()
    assert [job.id for job in store.listed("", 9)] == ["a"]
    assert StoredResponses(database, clock).find("r") == answer()
    assert StoredResponses(database, clock).find("q") is None


def test_many_of_the_same_request_at_once_add_one_job(store: SongStore) -> None:
    given: list[StoredResponse | None] = []

    def send(number: int) -> None:
        mine = answer(body={"job_id": f"job-{number}"})
        job = new_job(f"job-{number}")
        given.append(store.add(job, ResponseReceipt(mine)))

    in_threads(6, send)
    (job,) = store.listed("", 9)
    before = [one for one in given if one is not None]
    assert len(before) == 5
    assert {one.body["job_id"] for one in before} == {job.id}


def test_a_job_that_is_refused_leaves_no_answer(
    database: Database, clock: ManualClock
) -> None:
    with pytest.raises(QueueFull):
        new_store(database, clock, max_queued=0).add(
            new_job("a"), ResponseReceipt(answer())
        )
    assert StoredResponses(database, clock).find("r") is None


def test_a_clock_that_differs_from_the_database_s_is_known(
    database: Database, clock: ManualClock
) -> None:
    there = database.time() or NOON
    clock.now = there + timedelta(seconds=90)
    skew_seconds = new_store(database, clock).skew_seconds()
    expected = 90 if database.time() else 0
    assert skew_seconds == pytest.approx(expected, abs=5)
