"""Streams end before anything cuts them off: at an age, and when a replica stops."""

import asyncio
import time
from collections.abc import AsyncGenerator
from math import inf
from threading import Thread

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from serve_app.api.streams import Streams, WholeOrAborted
from tests.unit.live import serving

pytestmark = pytest.mark.anyio


async def lasted(streams: Streams, *, ages: bool = True, seconds: float = 9) -> float:
    """Return for how long a stream that does nothing may last."""
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with streams.begin(ages=ages).limit(seconds):
            await asyncio.sleep(20)
    return time.monotonic() - began


@pytest.mark.parametrize(("jitter", "expected"), [(0.0, 0.5), (1.0, 0.4)])
async def test_a_stream_ends_at_an_age_and_not_with_all_others(
    jitter: float, expected: float
) -> None:
    streams = Streams(0.5, lambda: jitter)
    assert expected <= await lasted(streams) < expected + 0.4
    stream = streams.begin()
    assert not stream.is_over
    await asyncio.sleep(expected)
    assert stream.is_over


async def test_a_limit_may_be_shorter() -> None:
    assert 0.1 <= await lasted(Streams(5.0), seconds=0.1) < 0.5
    assert 0.1 <= await lasted(Streams(), seconds=0.1) < 0.5


async def test_what_does_not_age_ends_by_its_own_limit() -> None:
    streams = Streams(0.1)
    assert 0.3 <= await lasted(streams, ages=False, seconds=0.3) < 0.7
    assert not streams.begin(ages=False).is_over


@pytest.mark.parametrize("ages", [True, False])
async def test_a_replica_that_stops_ends_all_streams(ages: bool) -> None:
    streams = Streams(jitter=lambda: 0.0)
    stream = streams.begin(ages=ages)
    running = [
        asyncio.create_task(lasted(streams, ages=ages, seconds=limit))
        for limit in (9, inf)
    ]
    await asyncio.sleep(0.1)
    # Serve tells a replica in another thread than that of its requests.
    thread = Thread(target=streams.drain)
    thread.start()
    thread.join()
    assert max(await asyncio.gather(*running)) < 0.5
    assert stream.is_over
    # Those that begin now too.
    assert await lasted(streams, ages=ages) < 0.3
    assert streams.begin(ages=ages).is_over


async def test_they_end_one_after_the_other_within_seconds() -> None:
    shares = iter([0.0, 0.0, 0.0, 0.5, 0.0, 1.0])
    # A quarter of the age is the time in which all leave.
    streams = Streams(4.0, lambda: next(shares))
    running = [asyncio.create_task(lasted(streams)) for _ in range(3)]
    await asyncio.sleep(0.1)
    streams.drain()
    found = sorted(await asyncio.gather(*running))
    for seconds, wanted in zip(found, (0.1, 0.6, 1.1), strict=True):
        assert wanted <= seconds < wanted + 0.3


async def test_a_stream_that_is_not_limited_knows_when_to_leave() -> None:
    shares = iter([0.0, 0.5])
    streams = Streams(2.0, lambda: next(shares))
    stream = streams.begin()
    streams.drain()
    assert not stream.is_over
    await asyncio.sleep(0.3)
    assert stream.is_over


async def test_a_replica_may_stop_before_its_first_stream() -> None:
    streams = Streams()
    streams.drain()
    assert await lasted(streams) < 0.3


async def test_what_ends_in_time_is_not_disturbed() -> None:
    streams = Streams(0.2)
    stream = streams.begin()
    async with stream.limit():
        await asyncio.sleep(0)
    streams.drain()
    await asyncio.sleep(0.3)
    async with streams.limit(inf):
        pass


def test_clients_come_back_soon_but_not_together() -> None:
    delays = {Streams().delay_seconds() for _ in range(50)}
    assert len(delays) > 40
    assert all(0 <= delay <= 0.5 for delay in delays)


async def chunks(sizes: list[int]) -> AsyncGenerator[bytes]:
    for size in sizes:
        yield b"x" * size


def served(sizes: list[int]) -> httpx.Response:
    """Return the response with chunks of these sizes; its body shall have 9 bytes."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            response = WholeOrAborted(chunks(sizes), 9, 200, {}, "audio/wav")
            await response(scope, receive, send)

    with serving(app) as url:
        return httpx.get(url, headers={"Connection": "close"})


@pytest.mark.parametrize("sizes", [[9], [4, 5], [1] * 9, [4, 0, 5, 1], [20]])
def test_a_whole_body_is_a_whole_response(sizes: list[int]) -> None:
    response = served(sizes)
    assert response.content == b"x" * 9
    assert response.headers["content-length"] == "9"


@pytest.mark.parametrize("sizes", [[], [8], [4, 4]])
def test_a_part_of_a_body_is_never_a_whole_response(sizes: list[int]) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        served(sizes)
