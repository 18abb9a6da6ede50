"""The contract of quotas: jobs at once and queued, minutes of a day, stored bytes."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import pairwise

import pytest

from serve_app.database import Database
from serve_app.errors import AppError, AudioTooLong, QuotaExceeded
from serve_app.jobs.job import NONE_PASSED_BY, State
from serve_app.stems.request import SeparationJob
from serve_app.usage.quotas import Quotas
from serve_app.usage.store import Period, UsageStore
from serve_app.usage.used import DayUsage
from tests.jobs import NOON, RESULT, ManualClock, SongStore, new_job, new_store

LEASE = 30.0
DAY = Period(date(2026, 11, 20), date(2026, 11, 20))


def job(job_id: str, tenant: str = "acme", minutes: float = 3.0) -> SeparationJob:
    """Return a queued job of a tenant, with a song of some minutes and 9 bytes."""
    found = new_job(job_id, tenant=tenant, client=tenant)
    source = replace(found.request.source, size_bytes=9)
    return found.evolve(
        request=replace(found.request, source=source),
        audio_seconds=60 * minutes,
        cost_seconds=60 * minutes,
        stored_bytes=100,
    )


def claim(store: SongStore, most: int = 99, owner: str = "me") -> list[SeparationJob]:
    return store.claim(
        owner,
        lease_seconds=LEASE,
        include_alone=False,
        most=most,
        passed_by=NONE_PASSED_BY,
    )


def claim_all(store: SongStore, owner: str = "me") -> list[str]:
    """Claim until there is nothing more, as a dispatcher does; return the ids."""
    found: list[str] = []
    while jobs := claim(store, owner=owner):
        found += [each.id for each in jobs]
    return found


def finish(store: SongStore) -> None:
    """Claim a job and end it with its result."""
    [found] = claim(store, 1)
    store.succeed(found.claim, RESULT)


def in_threads(number: int, work: Callable[[int], object]) -> None:
    """Run `work` in threads that start together; raise the first error of any."""
    barrier = threading.Barrier(number)

    def started(index: int) -> None:
        barrier.wait()
        work(index)

    with ThreadPoolExecutor(number) as pool:
        list(pool.map(started, range(number)))


def test_no_more_jobs_of_a_client_run_than_its_quota(store: SongStore) -> None:
    for name in "abcd":
        store.add(job(name), quotas=Quotas(jobs_at_once=2))
    assert claim_all(store) == ["a", "b"]
    store.succeed(store.get("a").claim, RESULT)
    assert claim_all(store) == ["c"]
    store.release(store.get("b").claim)
    assert claim_all(store) == ["b"]


def test_jobs_above_a_quota_are_not_in_the_way_of_others(store: SongStore) -> None:
    for name in "abc":
        store.add(job(name, "acme"), quotas=Quotas(jobs_at_once=1))
    for name in "xyz":
        store.add(job(name, "other"))
    assert sorted(claim_all(store)) == ["a", "x", "y", "z"]


def test_jobs_with_a_quota_start_in_turn_with_others(
    store: SongStore, clock: ManualClock
) -> None:
    quotas = {"acme": Quotas(jobs_at_once=9), "other": Quotas()}
    for name, tenant in (("a", "other"), ("b", "acme"), ("c", "other")):
        created_at = clock.now
        store.add(
            job(name, tenant, 0.001).evolve(created_at=created_at),
            quotas=quotas[tenant],
        )
        clock.advance(10)
    assert claim_all(store) == ["a", "b", "c"]


def test_a_quota_holds_while_dispatchers_claim_at_the_same_time(
    database: Database, clock: ManualClock
) -> None:
    store = new_store(database, clock)
    for number in range(24):
        tenant = f"t{number % 2}"
        store.add(job(f"j{number}", tenant), quotas=Quotas(jobs_at_once=3))
    stores = [new_store(database, clock) for _ in range(4)]
    in_threads(4, lambda index: claim_all(stores[index], f"me{index}"))
    running = [store.get(f"j{number}") for number in range(24)]
    for tenant in ("t0", "t1"):
        theirs = [each for each in running if each.tenant == tenant]
        states = [each.state for each in theirs]
        assert states.count(State.RUNNING) == 3


def test_a_job_of_a_dead_dispatcher_is_claimed_again_within_its_quota(
    store: SongStore, clock: ManualClock
) -> None:
    for name in "ab":
        store.add(job(name), quotas=Quotas(jobs_at_once=1))
    assert claim_all(store) == ["a"]
    clock.advance(LEASE + 1)
    assert claim_all(store, "another") == ["a"]


def test_all_jobs_of_a_dead_dispatcher_can_start_again(
    store: SongStore, clock: ManualClock
) -> None:
    """Also when the quota was lowered between them."""
    for name, most in (("a", 1), ("b", 2), ("c", 2)):
        store.add(job(name), quotas=Quotas(jobs_at_once=most))
    assert claim_all(store) == ["a", "b"]
    clock.advance(LEASE + 1)
    assert claim_all(store, "another") == ["b"]
    store.succeed(store.get("b").claim, RESULT)
    assert claim_all(store, "another") == ["a", "c"]


def test_a_queue_above_its_quota_is_refused(store: SongStore) -> None:
    quotas = Quotas(jobs_queued=2)
    for name in "ab":
        store.add(job(name), quotas=quotas)
    with pytest.raises(QuotaExceeded, match="2 of your jobs are queued") as caught:
        store.add(job("c"), quotas=quotas)
    assert caught.value.retry_after_seconds > 0
    with pytest.raises(QuotaExceeded):
        store.check_room("acme", "acme", quotas)
    store.check_room("other", "other", quotas)
    claim(store, 1)
    store.add(job("c"), quotas=quotas)


@pytest.mark.parametrize(
    "quotas",
    [
        Quotas(jobs_queued=3),
        Quotas(audio_minutes_per_day=9.0),
        Quotas(stored_bytes=300),
    ],
)
def test_a_quota_is_exact_while_many_add_at_the_same_time(
    database: Database, clock: ManualClock, quotas: Quotas
) -> None:
    stores = [new_store(database, clock) for _ in range(8)]
    refused: list[AppError] = []

    def add(index: int) -> None:
        try:
            stores[index].add(job(f"j{index}"), quotas=quotas)
        except QuotaExceeded as err:
            refused.append(err)

    in_threads(8, add)
    assert stores[0].counts()[State.QUEUED] == 3
    assert len(refused) == 5


def test_minutes_are_used_by_unfinished_and_by_finished_jobs(store: SongStore) -> None:
    quotas = Quotas(audio_minutes_per_day=10)
    store.add(job("a", minutes=4), quotas=quotas)
    store.add(job("b", minutes=4), quotas=quotas)
    for _ in range(3):
        with pytest.raises(QuotaExceeded, match=r"8\.0 minutes of audio .* 10 a day"):
            store.add(job("c", minutes=4), quotas=quotas)
        store.check_room("acme", "acme", quotas)
        if claim(store, 1):
            running = [name for name in "ab" if store.get(name).state == "running"]
            store.succeed(store.get(running[0]).claim, RESULT)
    store.add(job("c", minutes=2), quotas=quotas)
    with pytest.raises(QuotaExceeded):
        store.check_room("acme", "acme", quotas)
    store.add(job("d", "other", minutes=4), quotas=quotas)


def test_minutes_come_back_at_midnight_as_the_error_says(
    store: SongStore, clock: ManualClock
) -> None:
    quotas = Quotas(audio_minutes_per_day=5)
    clock.advance(11 * 3600)
    store.add(job("a", minutes=4).evolve(created_at=clock.now), quotas=quotas)
    with pytest.raises(QuotaExceeded, match="after midnight UTC") as caught:
        store.add(job("b", minutes=4), quotas=quotas)
    assert caught.value.retry_after_seconds == 3600
    clock.advance(caught.value.retry_after_seconds)
    assert clock.now == datetime(2026, 11, 21, tzinfo=UTC)
    store.add(job("b", minutes=4).evolve(created_at=clock.now), quotas=quotas)


@pytest.mark.parametrize("end", ["fail", "cancel", "cancel_queued"])
def test_failed_and_cancelled_jobs_use_no_minutes(store: SongStore, end: str) -> None:
    quotas = Quotas(audio_minutes_per_day=4)
    store.add(job("a", minutes=4), quotas=quotas)
    if end != "cancel_queued":
        [running] = claim(store)
    if end == "fail":
        store.fail(running.claim, "code", "why")
    else:
        store.cancel("a")
        if end == "cancel":
            store.release(running.claim)
    assert store.get("a").state.is_final
    store.add(job("b", minutes=4), quotas=quotas)


def test_a_song_that_no_day_has_room_for_is_too_long(store: SongStore) -> None:
    with pytest.raises(AudioTooLong, match="5 minutes of audio a day"):
        store.add(job("a", minutes=6), quotas=Quotas(audio_minutes_per_day=5))


def test_a_result_of_an_earlier_job_uses_minutes_too(store: SongStore) -> None:
    quotas = Quotas(audio_minutes_per_day=4)
    ended = job("a", minutes=3).evolve(state=State.SUCCEEDED, result=RESULT)
    store.add(ended, quotas=quotas)
    with pytest.raises(QuotaExceeded):
        store.add(ended.evolve(id="b"), quotas=quotas)


def test_stored_bytes_are_estimated_then_known_then_free(
    database: Database, clock: ManualClock
) -> None:
    store, quotas = (
        new_store(database, clock, retention_seconds=600.0),
        Quotas(stored_bytes=150),
    )
    store.add(job("a"), quotas=quotas)
    with pytest.raises(QuotaExceeded, match="Delete jobs"):
        store.add(job("b"), quotas=quotas)
    finish(store)
    # The song and its stem.
    assert store.get("a").stored_bytes == 9 + 44
    with pytest.raises(QuotaExceeded) as caught:
        store.add(job("b"), quotas=quotas)
    assert caught.value.retry_after_seconds == 600
    store.check_room("acme", "acme", quotas)
    clock.advance(601)
    store.add(job("b"), quotas=quotas)


def test_files_that_never_fit_are_refused_for_good(store: SongStore) -> None:
    with pytest.raises(AudioTooLong):
        store.add(job("a"), quotas=Quotas(stored_bytes=99))


def test_usage_is_the_sum_of_the_jobs_that_succeeded(
    store: SongStore, database: Database, clock: ManualClock
) -> None:
    for name in "abc":
        store.add(job(name, minutes=2))
    store.add(job("x", "other", minutes=1))
    for seconds in (1.5, 2.0):
        [found] = claim(store, 1)
        store.succeed(found.claim, replace(RESULT, device_seconds=seconds))
    [found] = claim(store, 1)
    store.fail(found.claim, "code", "why")
    days = UsageStore(database).listed(DAY, None)
    assert sum(each.jobs for each in days) == 2
    assert sum(each.device_seconds for each in days) == 3.5
    assert {each.tenant for each in days} <= {"acme", "other"}
    [mine] = UsageStore(database).listed(DAY, "acme")
    assert mine == DayUsage(
        *(NOON.date(), "acme"),
        jobs=mine.jobs,
        audio_seconds=120.0 * mine.jobs,
        device_seconds=mine.device_seconds,
        bytes_in=9 * mine.jobs,
        bytes_out=44 * mine.jobs,
    )


def test_usage_belongs_to_the_day_on_which_a_job_was_sent(
    store: SongStore, database: Database, clock: ManualClock
) -> None:
    store.add(job("a"))
    clock.advance(24 * 3600)
    finish(store)
    assert [each.day for each in UsageStore(database).listed(DAY, "acme")] == [
        NOON.date()
    ]


def test_usage_of_many_jobs_that_end_at_once_is_complete(
    database: Database, clock: ManualClock
) -> None:
    stores = [new_store(database, clock) for _ in range(8)]
    for number in range(8):
        stores[0].add(job(f"j{number}"))
    claims = [each.claim for each in claim(stores[0], 8)]
    in_threads(8, lambda index: stores[index].succeed(claims[index], RESULT))
    [found] = UsageStore(database).listed(DAY, "acme")
    assert (found.jobs, found.bytes_in) == (8, 72)


def test_usage_is_listed_by_day_and_tenant(
    store: SongStore, database: Database, clock: ManualClock
) -> None:
    for number, tenant in enumerate(("b", "a", "b")):
        store.add(job(f"j{number}", tenant).evolve(created_at=clock.now))
        finish(store)
        clock.advance(12 * 3600)
    usage = UsageStore(database)
    found = usage.listed(Period(date(2026, 1, 1), date(2026, 12, 31)), None)
    keys = [(each.day, each.tenant) for each in found]
    assert all(first < second for first, second in pairwise(keys))
    assert {tenant for _, tenant in keys} == {"a", "b"}
    assert usage.listed(Period(date(2026, 1, 1), date(2026, 11, 19)), None) == []
