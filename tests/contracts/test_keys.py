"""The contract of API keys."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from serve_app.access.api_key import KeyText
from serve_app.access.keys import ApiKey, KeyStore, NewKey
from serve_app.access.server_secret import server_secret
from serve_app.access.table import api_keys
from serve_app.database import Database
from serve_app.errors import DatabaseUnavailable, KeyNotFound
from serve_app.usage.quotas import NO_QUOTAS, Quotas
from tests.jobs import NOON, ManualClock

SCOPES = frozenset({"stems:read", "stems:write"})
NEW = NewKey("app", "acme", SCOPES)


@pytest.fixture
def keys(database: Database, clock: ManualClock) -> KeyStore:
    return KeyStore(database, clock, b"secret")


def known(keys: KeyStore, key_id: str) -> ApiKey:
    found = keys.find(key_id)
    assert found is not None
    return found


def test_a_key_comes_back_as_it_was_created(keys: KeyStore) -> None:
    quotas = Quotas(60, 2, 10, 90.5, 5_000_000_000_000)
    ends_at = NOON + timedelta(days=30, microseconds=1)
    key, text = keys.create(NewKey("My app", "acme", SCOPES, ends_at, quotas))
    assert key == ApiKey(
        *(text.id, "My app", "acme", key.digest, SCOPES, quotas, NOON), ends_at
    )
    assert keys.listed() == [key]
    assert keys.find(key.id) == key


def test_the_text_of_a_key_is_nowhere_in_the_database(
    keys: KeyStore, database: Database
) -> None:
    key, text = keys.create(NEW)
    with database.reading() as connection:
        row = connection.execute(select(api_keys)).one()
    assert text.text[23:66] not in repr(row)
    assert keys.is_text_of(text, key)
    last = "y" if text.text.endswith("x") else "x"
    other = KeyText(text.id, text.text[:-1] + last)
    assert not keys.is_text_of(other, key)


def test_keys_are_listed_oldest_first(keys: KeyStore, clock: ManualClock) -> None:
    ids = []
    for _ in range(5):
        ids.append(keys.create(NEW)[0].id)
        clock.advance(1)
    keys.revoke(ids[2])
    assert [key.id for key in keys.listed()] == ids


def test_that_there_was_a_key_is_never_forgotten(
    keys: KeyStore, clock: ManualClock
) -> None:
    assert not keys.has_any()
    key, _ = keys.create(NEW)
    keys.revoke(key.id)
    clock.advance(10 * 366 * 24 * 3600)
    assert keys.has_any()


def test_a_key_is_valid_until_it_expires(keys: KeyStore, clock: ManualClock) -> None:
    ends_at = NOON + timedelta(seconds=60)
    key, _ = keys.create(NewKey("app", "acme", SCOPES, ends_at))
    assert key.is_valid(ends_at - timedelta(microseconds=1))
    assert not key.is_valid(ends_at)


def test_a_revoked_key_stays_as_it_was_revoked(
    keys: KeyStore, clock: ManualClock
) -> None:
    key, _ = keys.create(NEW)
    revoked = keys.revoke(key.id)
    assert revoked.revoked_at == NOON
    assert not revoked.is_valid(NOON)
    clock.advance(60)
    assert keys.revoke(key.id) == revoked


def test_a_rotated_key_expires_after_the_overlap(
    keys: KeyStore, clock: ManualClock
) -> None:
    quotas = Quotas(jobs_queued=3)
    ends_at = NOON + timedelta(days=2)
    old, _ = keys.create(NewKey("app", "acme", SCOPES, ends_at, quotas))
    clock.advance(60)
    new, text = keys.rotate(old.id, 3600)
    assert new == ApiKey(
        *(text.id, "app", "acme", new.digest, SCOPES, quotas, clock()),
        expires_at=ends_at,
        replaces=old.id,
    )
    assert known(keys, old.id).expires_at == clock() + timedelta(hours=1)


def test_a_rotation_does_not_make_an_old_key_live_longer(keys: KeyStore) -> None:
    ends_at = NOON + timedelta(seconds=60)
    old, _ = keys.create(NewKey("app", "acme", SCOPES, ends_at))
    keys.rotate(old.id, 3600)
    assert known(keys, old.id).expires_at == ends_at


def test_a_rotation_without_overlap_ends_the_old_key_at_once(keys: KeyStore) -> None:
    old, _ = keys.create(NEW)
    keys.rotate(old.id, 0)
    assert not known(keys, old.id).is_valid(NOON)


def test_only_a_valid_key_is_rotated(keys: KeyStore, clock: ManualClock) -> None:
    expired, _ = keys.create(NewKey("app", "acme", SCOPES, NOON + timedelta(seconds=1)))
    revoked, _ = keys.create(NEW)
    keys.revoke(revoked.id)
    clock.advance(1)
    for key_id in (expired.id, revoked.id, "unknown", "", "x" * 1_000):
        with pytest.raises(KeyNotFound, match="stemserve keys list"):
            keys.rotate(key_id, 60)
    assert len(keys.listed()) == 2


def test_an_unknown_key_is_none(keys: KeyStore) -> None:
    keys.create(NEW)
    for key_id in ("unknown", "", "' OR 1=1 --", "x" * 1_000):
        assert keys.find(key_id) is None
        with pytest.raises(KeyNotFound):
            keys.revoke(key_id)


def test_the_last_use_is_recorded_to_within_ten_minutes(
    keys: KeyStore, clock: ManualClock
) -> None:
    key, _ = keys.create(NEW)
    keys.find(key.id)
    assert known(keys, key.id).last_used_at == NOON
    clock.advance(599)
    keys.find(key.id)
    assert keys.listed()[0].last_used_at == NOON
    clock.advance(1)
    keys.find(key.id)
    assert keys.listed()[0].last_used_at == clock()


def test_a_key_is_found_where_nothing_can_be_written(
    keys: KeyStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a disk is full, clients can still fetch and delete."""
    key, _ = keys.create(NEW)

    def fail() -> None:
        raise DatabaseUnavailable("The disk is full.")

    monkeypatch.setattr(database, "writing", fail)
    assert keys.find(key.id) == key


def test_quotas_of_a_newer_version_are_ignored(
    keys: KeyStore, database: Database
) -> None:
    key, _ = keys.create(NEW)
    with database.writing() as connection:
        connection.execute(update(api_keys).values(quotas={"songs_per_hour": 3}))
    assert known(keys, key.id).quotas == NO_QUOTAS


def test_servers_that_start_at_once_make_one_secret(database_url: str) -> None:
    barrier = threading.Barrier(8)

    def made(_: int) -> bytes:
        with Database(database_url) as database:
            barrier.wait()
            return server_secret(database)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(made, range(8)))) == 1


def test_keys_that_are_rotated_at_once_have_one_end(
    keys: KeyStore, clock: ManualClock
) -> None:
    """Each rotation gives a key that works: none of the callers is left without."""
    old, _ = keys.create(NEW)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: keys.rotate(old.id, 60), range(4)))
    assert len({text.text for _, text in made}) == 4
    assert all(keys.is_text_of(text, known(keys, key.id)) for key, text in made)
    assert known(keys, old.id).expires_at == NOON + timedelta(seconds=60)
