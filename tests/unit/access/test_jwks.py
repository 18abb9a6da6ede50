"""The keys of an issuer are fetched seldom, and stay while they can't be fetched."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http.server import BaseHTTPRequestHandler
from threading import Event

import pytest

from serve_app.access.issuer_keys import KeySet
from serve_app.access.jwks import (
    FRESH_SECONDS,
    MAX_BYTES,
    RETRY_SECONDS,
    UNKNOWN_KEY_SECONDS,
    FetchedKeys,
    Jwks,
)
from serve_app.errors import RefusedUrl, Unavailable, UnreachableUrl
from serve_app.outbound.urls import UrlRules
from tests.unit.access.issuer import Issuer, Respond, send

pytestmark = pytest.mark.anyio


class Ticks:
    """A clock that moves only when something sleeps, or when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []
        self.began = asyncio.Queue[float]()
        self.wake = asyncio.Event()

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Sleep until `wake` is set."""
        self.slept.append(seconds)
        self.began.put_nowait(seconds)
        await self.wake.wait()
        self.wake.clear()
        self.now += seconds


def jwks_of(issuer: Issuer, ticks: Ticks, timeout: float = 5.0) -> Jwks:
    return Jwks(issuer.source(timeout=timeout).fetch, ticks, ticks.sleep)


def ids(keys: KeySet) -> list[str | None]:
    return [key.id for key in keys.keys]


def fail(handler: BaseHTTPRequestHandler) -> None:
    send(handler, 500, b"broken")


@asynccontextmanager
async def kept_fresh(jwks: Jwks) -> AsyncIterator[None]:
    task = asyncio.create_task(jwks.keep_fresh())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def slept(ticks: Ticks) -> None:
    """Wait for the next sleep to begin."""
    await asyncio.wait_for(ticks.began.get(), 5)


async def test_keys_are_fetched_once_for_all_who_wait(issuer: Issuer) -> None:
    jwks = jwks_of(issuer, Ticks())
    found = await asyncio.gather(*(jwks.keys() for _ in range(20)))
    assert ids(found[0]) == ["one"]
    assert issuer.requests == 1
    assert await jwks.keys() is found[0]
    assert issuer.requests == 1


async def test_an_unknown_key_causes_one_fetch_a_minute(issuer: Issuer) -> None:
    ticks = Ticks()
    jwks = jwks_of(issuer, ticks)
    await jwks.keys()
    issuer.add("two")
    found = await asyncio.gather(*(jwks.keys_after_search() for _ in range(20)))
    assert all(ids(keys) == ["one", "two"] for keys in found)
    assert issuer.requests == 2
    issuer.add("three")
    ticks.now += UNKNOWN_KEY_SECONDS - 1
    assert ids(await jwks.keys_after_search()) == ["one", "two"]
    assert issuer.requests == 2
    ticks.now += 1
    assert ids(await jwks.keys_after_search()) == ["one", "two", "three"]
    assert issuer.requests == 3


async def test_keys_are_refreshed_in_the_background(issuer: Issuer) -> None:
    ticks = Ticks()
    jwks = jwks_of(issuer, ticks)
    async with kept_fresh(jwks):
        await slept(ticks)
        issuer.add("two")
        assert ids(await jwks.keys()) == ["one"]
        ticks.wake.set()
        await slept(ticks)
        assert ids(await jwks.keys()) == ["one", "two"]
        issuer.remove("one")
        ticks.wake.set()
        await slept(ticks)
        assert ids(await jwks.keys()) == ["two"]
    assert ticks.slept == [FRESH_SECONDS] * 3


@pytest.mark.parametrize(
    ("cache_control", "seconds"),
    [
        ("", 300),
        ("public, max-age=900", 900),
        ('Max-Age="120"', 120),
        ("max-age=1", 60),
        ("max-age=999999999", 3600),
        ("no-store", 60),
        ("max-age=900, no-cache", 60),
        ("max-age=soon", 300),
        ("s-maxage=10", 300),
    ],
)
def test_keys_are_cached_as_the_issuer_says_within_bounds(
    issuer: Issuer, cache_control: str, seconds: float
) -> None:
    headers = {"Cache-Control": cache_control} if cache_control else {}
    issuer.respond = lambda handler: issuer.send_keys(handler, headers)
    assert issuer.source().fetch().fresh_seconds == seconds


def redirect_to(target: str) -> Respond:
    return lambda handler: send(handler, 302, b"", {"Location": target})


def drip(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    with suppress(ConnectionError):
        for _ in range(20):
            handler.wfile.write(b" ")
            time.sleep(0.1)


@pytest.mark.parametrize(
    ("respond", "reason"),
    [
        (fail, "status 500"),
        (lambda handler: send(handler, 204, b""), "status 204"),
        (lambda handler: send(handler, 200, b" " * MAX_BYTES + b"{}"), "at most"),
        (lambda handler: send(handler, 200, b"<html>"), "not JSON"),
        (lambda handler: handler.wfile.write(b"what?\r\n\r\n"), "unreachable"),
        (redirect_to("/api/auth/jwks"), "redirects more than"),
        (redirect_to("file:///etc/passwd"), "is not an"),
        (drip, "timed out"),
    ],
)
def test_a_response_without_keys_is_a_failure(
    issuer: Issuer, respond: Respond, reason: str
) -> None:
    issuer.respond = respond
    began = time.monotonic()
    with pytest.raises((UnreachableUrl, RefusedUrl, ValueError), match=reason):
        issuer.source(timeout=0.5).fetch()
    assert time.monotonic() - began < 2


def test_an_issuer_that_is_down_is_a_failure(issuer: Issuer) -> None:
    issuer.address = "http://127.0.0.1:1"
    with pytest.raises(UnreachableUrl):
        issuer.source().fetch()


@pytest.mark.parametrize(
    "rules", [UrlRules(), UrlRules(("http", "https")), UrlRules(("https",), ports=(1,))]
)
def test_private_addresses_are_not_asked_unless_that_is_allowed(
    issuer: Issuer, rules: UrlRules
) -> None:
    with pytest.raises(RefusedUrl):
        issuer.source(rules).fetch()
    assert issuer.requests == 0


def test_a_redirect_is_followed_where_it_is_allowed(issuer: Issuer) -> None:
    def moved(handler: BaseHTTPRequestHandler) -> None:
        issuer.respond = issuer.send_keys
        send(handler, 301, b"", {"Location": "/elsewhere"})

    issuer.respond = moved
    assert ids(issuer.source().fetch().keys) == ["one"]


async def test_without_any_keys_the_service_is_unavailable(issuer: Issuer) -> None:
    issuer.respond = fail
    ticks = Ticks()
    jwks = jwks_of(issuer, ticks)
    for _ in range(3):
        with pytest.raises(Unavailable, match="can't be fetched"):
            await jwks.keys()
    assert issuer.requests == 1
    issuer.respond = issuer.send_keys
    ticks.now += RETRY_SECONDS
    assert ids(await jwks.keys()) == ["one"]


async def test_known_keys_stay_while_fetches_fail(
    issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "serve_app.access.jwks")
    ticks = Ticks()
    jwks = jwks_of(issuer, ticks)
    async with kept_fresh(jwks):
        await slept(ticks)
        issuer.respond = fail
        for _ in range(3):
            ticks.wake.set()
            await slept(ticks)
        assert ids(await jwks.keys()) == ["one"]
        # It may be a new one: nobody can tell now.
        with pytest.raises(Unavailable):
            await jwks.keys_after_search()
        issuer.respond = issuer.send_keys
        ticks.wake.set()
        await slept(ticks)
        assert ids(await jwks.keys_after_search()) == ["one"]
    assert ticks.slept[1:4] == [RETRY_SECONDS] * 3
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "jwks fetched keys=1 left_out=0",
        "jwks fetch failed known_keys=1 error=The server of the URL responded with "
        "status 500.",
        "jwks fetched keys=1 left_out=0",
    ]


async def test_a_slow_fetch_holds_up_nobody_whose_key_is_known(
    issuer: Issuer,
) -> None:
    first = issuer.source().fetch()
    go_on, results = Event(), iter([first])

    def fetch() -> FetchedKeys:
        found = next(results, None)
        if found is None:
            go_on.wait(5)
            raise ValueError("nothing")
        return found

    jwks = Jwks(fetch)
    await jwks.keys()
    search = asyncio.create_task(jwks.keys_after_search())
    await asyncio.sleep(0.05)
    began = time.monotonic()
    for _ in range(1000):
        assert await jwks.keys() is first.keys
    assert time.monotonic() - began < 0.5
    assert not search.done()
    go_on.set()
    with pytest.raises(Unavailable):
        await search


async def test_a_client_that_leaves_does_not_end_the_fetch_of_others(
    issuer: Issuer,
) -> None:
    jwks = jwks_of(issuer, Ticks())
    leaving = asyncio.create_task(jwks.keys())
    staying = asyncio.create_task(jwks.keys())
    await asyncio.sleep(0)
    leaving.cancel()
    assert ids(await staying) == ["one"]
    assert issuer.requests == 1


async def test_the_same_keys_stay_the_same_object(issuer: Issuer) -> None:
    ticks = Ticks()
    jwks = jwks_of(issuer, ticks)
    before = await jwks.keys()
    assert await jwks.keys_after_search() is before
    assert issuer.requests == 2
