"""Keys are looked up once in two seconds, and a revoked one is noticed after those."""

import asyncio
import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar, cast

import pytest

from serve_app.access import key_cache
from serve_app.access.key_cache import FRESH_SECONDS, KeyCache
from serve_app.access.keys import ApiKey, KeyStore
from serve_app.errors import DatabaseUnavailable
from serve_app.usage.quotas import NO_QUOTAS

pytestmark = pytest.mark.anyio

T = TypeVar("T")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
KEY = ApiKey("one", "app", "acme", "digest", frozenset({"*:read"}), NO_QUOTAS, NOON)


class Store:
    """Stands in for the database: counts queries, holds them, and fails if told to."""

    def __init__(self) -> None:
        self.keys = {"one": KEY}
        self.asked: list[str] = []
        self.is_down = False
        self.go = threading.Event()
        self.go.set()

    def find(self, key_id: str) -> ApiKey | None:
        """Return a key."""
        return self._answer(key_id, self.keys.get(key_id))

    def has_any(self) -> bool:
        """Whether there is a key."""
        return self._answer("any", bool(self.keys))

    def _answer(self, asked: str, answer: T) -> T:
        self.asked.append(asked)
        assert self.go.wait(10)
        if self.is_down:
            raise DatabaseUnavailable("It is down.")
        return answer


class Monotonic:
    """A clock that stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def clock() -> Monotonic:
    return Monotonic()


@pytest.fixture
def cache(store: Store, clock: Monotonic) -> KeyCache:
    return KeyCache(cast(KeyStore, store), clock)


async def until_asked(store: Store, times: int) -> None:
    async with asyncio.timeout(10):
        while len(store.asked) < times:  # noqa: ASYNC110  a thread counts
            await asyncio.sleep(0.001)


async def test_a_key_is_looked_up_once_in_two_seconds(
    cache: KeyCache, store: Store, clock: Monotonic
) -> None:
    for _ in range(10):
        assert await cache.find("one") == KEY
        clock.now += FRESH_SECONDS / 10 - 1e-6
    assert store.asked == ["one"]
    clock.now += 1e-3
    await cache.find("one")
    assert store.asked == ["one", "one"]


async def test_a_revoked_key_is_noticed_within_two_seconds(
    cache: KeyCache, store: Store, clock: Monotonic
) -> None:
    assert FRESH_SECONDS <= 2
    await cache.find("one")
    store.keys["one"] = replace(KEY, revoked_at=NOON)
    clock.now += FRESH_SECONDS
    found = await cache.find("one")
    assert found is not None
    assert found.revoked_at == NOON


async def test_a_slow_query_does_not_make_a_key_younger(
    cache: KeyCache, store: Store, clock: Monotonic
) -> None:
    """It counts from its start: the key may be revoked right after it was read."""
    store.go.clear()
    query = asyncio.create_task(cache.find("one"))
    await until_asked(store, 1)
    clock.now += FRESH_SECONDS
    store.go.set()
    await query
    await cache.find("one")
    assert store.asked == ["one", "one"]


async def test_requests_at_once_make_one_query(cache: KeyCache, store: Store) -> None:
    store.go.clear()
    queries = [asyncio.create_task(cache.find("one")) for _ in range(50)]
    await until_asked(store, 1)
    store.go.set()
    assert await asyncio.gather(*queries) == [KEY] * 50
    assert store.asked == ["one"]


async def test_a_client_that_leaves_does_not_end_the_query_of_the_others(
    cache: KeyCache, store: Store
) -> None:
    store.go.clear()
    first, second = (asyncio.create_task(cache.find("one")) for _ in range(2))
    await until_asked(store, 1)
    first.cancel()
    await asyncio.sleep(0)
    store.go.set()
    assert await second == KEY
    assert first.cancelled()


async def test_unknown_ids_are_cached_too(
    cache: KeyCache, store: Store, clock: Monotonic
) -> None:
    for _ in range(3):
        assert await cache.find("none") is None
    assert store.asked == ["none"]
    store.keys["none"] = KEY
    clock.now += FRESH_SECONDS
    assert await cache.find("none") == KEY


async def test_a_failure_is_told_and_not_cached(
    cache: KeyCache, store: Store, clock: Monotonic
) -> None:
    store.is_down = True
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable):
            await cache.find("one")
        with pytest.raises(DatabaseUnavailable):
            await cache.has_any()
    store.is_down = False
    assert await cache.find("one") == KEY
    assert await cache.has_any()


async def test_a_failure_does_not_keep_an_old_key_valid(
    cache: KeyCache, store: Store, clock: Monotonic
) -> None:
    """A key that can't be checked may have been revoked."""
    await cache.find("one")
    store.is_down = True
    await cache.find("one")
    clock.now += FRESH_SECONDS
    with pytest.raises(DatabaseUnavailable):
        await cache.find("one")


async def test_only_so_many_keys_are_kept(
    cache: KeyCache, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_cache, "_MOST", 3)
    for name in "abcd":
        await cache.find(name)
    await cache.find("d")
    assert store.asked == [*"abcd"]
    await cache.find("a")
    assert store.asked == [*"abcda"]


async def test_the_first_key_is_noticed_within_two_seconds(
    cache: KeyCache, store: Store, clock: Monotonic
) -> None:
    store.keys.clear()
    for _ in range(3):
        assert not await cache.has_any()
    assert store.asked == ["any"]
    store.keys["one"] = KEY
    clock.now += FRESH_SECONDS
    for _ in range(3):
        assert await cache.has_any()
        clock.now += FRESH_SECONDS
    # That there is one stays true: it is not asked again.
    assert store.asked == ["any", "any"]


async def test_whether_there_is_a_key_is_asked_once_by_all(
    cache: KeyCache, store: Store
) -> None:
    store.go.clear()
    asked = [asyncio.create_task(cache.has_any()) for _ in range(50)]
    await until_asked(store, 1)
    store.go.set()
    assert await asyncio.gather(*asked) == [True] * 50
    assert store.asked == ["any"]
