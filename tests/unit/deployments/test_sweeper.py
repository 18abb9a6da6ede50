"""A sweep that fails does not stop the others."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from deployments.sweeper import Sweeper

PERIOD_SECONDS = 0.005


def run(sweeper: Sweeper, until: Callable[[], bool]) -> None:
    """Sweep until the condition is true."""

    async def sweep() -> None:
        loop = asyncio.create_task(sweeper.run_forever())
        async with asyncio.timeout(10):
            while not until():  # noqa: ASYNC110
                await asyncio.sleep(PERIOD_SECONDS)
        assert not loop.done(), "the loop has ended by itself"
        loop.cancel()
        await asyncio.wait([loop])

    asyncio.run(sweep())


class Calls:
    """Sweeps that count their calls, and fail on demand."""

    def __init__(self, *failing: str) -> None:
        self.failing = set(failing)
        self.counts: dict[str, int] = {}

    def __getitem__(self, name: str) -> Callable[[], None]:
        def sweep() -> None:
            self.counts[name] = self.counts.get(name, 0) + 1
            if name in self.failing:
                raise OSError(f"{name} is away")

        return sweep

    def has(self, name: str, times: int) -> bool:
        return self.counts.get(name, 0) >= times


def sweeper_of(calls: Calls, often: str, seldom: str = "") -> Sweeper:
    return Sweeper(
        {name: calls[name] for name in often},
        {name: calls[name] for name in seldom},
        PERIOD_SECONDS,
    )


@pytest.mark.parametrize("failing", ["a", "b", "c", "d", "abcd"])
def test_one_that_fails_stops_no_other_and_is_called_again(failing: str) -> None:
    calls = Calls(*failing)
    sweeper = sweeper_of(calls, "ab", "cd")
    run(sweeper, lambda: all(calls.has(name, 3) for name in "abcd"))
    assert set(sweeper.status()["failing"]) == set(failing)


def test_what_fails_is_told_with_its_reason_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls = Calls("a")
    sweeper = sweeper_of(calls, "ab")
    run(sweeper, lambda: calls.has("b", 1))
    assert sweeper.status() == {"failing": {"a": "a is away"}}
    assert "sweep failed name=a" in caplog.text
    assert "name=b" not in caplog.text


def test_what_works_again_is_told_no_more() -> None:
    calls = Calls("a")
    sweeper = sweeper_of(calls, "a")

    def is_well() -> bool:
        if calls.has("a", 2):
            calls.failing.clear()
        return calls.has("a", 5)

    run(sweeper, is_well)
    assert sweeper.status() == {"failing": {}}


def test_slow_ones_are_called_at_once_and_then_half_as_often() -> None:
    calls = Calls()
    run(sweeper_of(calls, "a", "b"), lambda: calls.has("a", 9))
    often, seldom = calls.counts["a"], calls.counts["b"]
    assert seldom in ((often + 1) // 2, often // 2)


def test_a_sweep_that_takes_long_does_not_hold_up_the_event_loop() -> None:
    was_free: list[bool] = []

    async def work() -> None:
        loop, heard = asyncio.get_running_loop(), threading.Event()

        def slow() -> None:
            loop.call_soon_threadsafe(heard.set)
            was_free.append(heard.wait(2))

        sweeping = asyncio.create_task(Sweeper({"slow": slow}, {}).run_forever())
        while not was_free:  # noqa: ASYNC110
            await asyncio.sleep(PERIOD_SECONDS)
        sweeping.cancel()
        await asyncio.wait([sweeping])

    asyncio.run(work())
    assert was_free == [True]
