import asyncio

import pytest

from serve_app.api.shares import Shares

pytestmark = pytest.mark.anyio


async def take(shares: Shares, client: str, may_end: asyncio.Event) -> None:
    async with shares.held(client):
        await may_end.wait()


async def test_a_client_that_takes_its_share_leaves_the_rest_to_others() -> None:
    shares, never = Shares(total=3, each=2), asyncio.Event()
    greedy = [asyncio.create_task(take(shares, "a", never)) for _ in range(5)]
    await asyncio.sleep(0)
    async with asyncio.timeout(1):
        async with shares.held("b"):
            pass
    for task in greedy:
        task.cancel()


async def test_no_more_are_held_than_there_are_and_each_is_given_back() -> None:
    shares, may_end = Shares(total=3, each=2), asyncio.Event()
    held = [asyncio.create_task(take(shares, name, may_end)) for name in "aabbcc"]
    await asyncio.sleep(0)
    late = asyncio.create_task(take(shares, "d", may_end))
    await asyncio.sleep(0.01)
    assert not late.done()
    may_end.set()
    async with asyncio.timeout(1):
        await asyncio.gather(*held, late)
