import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, wait
from dataclasses import replace
from threading import Event

import numpy as np
import pytest

from serve_app.diffusion.batcher import Batcher, Ticket
from serve_app.diffusion.engine import DiffusersEngine
from serve_app.diffusion.errors import OutOfDeviceMemory, Stopped
from serve_app.diffusion.port import Facts, ImageRequest, Made, Step
from serve_app.errors import InvalidInput, QueueFull, Unavailable
from tests.unit.diffusion.pipelines import Calls, recorded

WAIT_SECONDS = 10
CAT = ImageRequest("a cat", 64, 64, (1,))


class Device:
    """An engine whose batches take as many steps as allowed, and then end.

    Requests agree if their sizes do. A prompt of `fails` fails its batch; more than
    `room` images do not fit.
    """

    def __init__(self) -> None:
        self.free = Event()
        self.entered = Event()
        self.batches: list[list[str]] = []
        self.previews: list[frozenset[int]] = []
        self.room = 1_000

    def facts(self) -> Facts:
        raise NotImplementedError

    def batch_key(self, request: ImageRequest) -> tuple[object, ...]:
        if request.width % 8:
            raise InvalidInput("The width must be a multiple of 8.")
        return (request.width,)

    def make(
        self,
        requests: Sequence[ImageRequest],
        on_step: Callable[[Mapping[int, Step]], None],
        is_wanted: Callable[[], bool],
        with_previews: frozenset[int] = frozenset(),
    ) -> list[Made]:
        self.batches.append([request.prompt for request in requests])
        self.previews.append(with_previews)
        if sum(len(request.seeds) for request in requests) > self.room:
            raise OutOfDeviceMemory("no room")
        self.entered.set()
        number = 0
        while not self.free.wait(0.001) or number < 2:
            if not is_wanted():
                raise Stopped
            number += 1
            on_step({index: Step(number, 2) for index in range(len(requests))})
        if any(request.prompt == "fails" for request in requests):
            raise ArithmeticError("can't make it")
        return [made(request) for request in requests]


def made(request: ImageRequest) -> Made:
    image = np.zeros((8, 8, 3), np.uint8)
    return Made((image,), request.seeds, 2, 1.0, "lcm", request.prompt, "MIT")


def named(prompt: str, **changed: object) -> ImageRequest:
    return replace(CAT, prompt=prompt, **changed)  # type: ignore[arg-type]


@pytest.fixture
def device() -> Iterator[Device]:
    device = Device()
    yield device
    device.free.set()


@pytest.fixture
def batcher(device: Device) -> Iterator[Batcher]:
    batcher = Batcher(device, most_requests=8, most_images=4)
    yield batcher
    batcher.close()


def occupy(batcher: Batcher, device: Device) -> Ticket:
    """Submit a request and wait until it runs: later ones are queued then."""
    ticket = batcher.submit(named("first"))
    assert device.entered.wait(WAIT_SECONDS)
    return ticket


def results(tickets: Sequence[Ticket]) -> list[str]:
    return [ticket.future.result(WAIT_SECONDS).model for ticket in tickets]


def test_requests_that_agree_are_made_together_in_their_order(
    batcher: Batcher, device: Device
) -> None:
    first = occupy(batcher, device)
    wide = {"width": 128}
    queue = [named("a"), named("b", **wide), named("c"), named("d", **wide), named("e")]
    tickets = [batcher.submit(request) for request in queue]
    device.free.set()
    assert results([first, *tickets]) == ["first", "a", "b", "c", "d", "e"]
    assert device.batches == [["first"], ["a", "c", "e"], ["b", "d"]]


def test_a_batch_has_no_more_images_than_the_most(
    batcher: Batcher, device: Device
) -> None:
    first = occupy(batcher, device)
    counts = {"a": 2, "b": 3, "c": 2, "d": 9}
    tickets = [
        batcher.submit(named(name, seeds=tuple(range(count))))
        for name, count in counts.items()
    ]
    device.free.set()
    assert results([first, *tickets]) == ["first", *counts]
    assert device.batches == [["first"], ["a", "c"], ["b"], ["d"]]


def test_a_full_queue_refuses_with_the_time_to_wait(
    batcher: Batcher, device: Device
) -> None:
    """50 at once on a queue of 8: 8 are served, the others are told when to return."""
    occupied = occupy(batcher, device)
    tickets, refused = [occupied], []
    for number in range(49):
        try:
            tickets.append(batcher.submit(named(str(number))))
        except QueueFull as err:
            refused.append(err)
    assert (len(tickets), len(refused)) == (8, 42)
    # Seven images wait for two batches, beside the one that runs; 5 s are guessed.
    assert {err.retry_after_seconds for err in refused} == {14}
    device.free.set()
    assert len(results(tickets)) == 8
    assert batcher.submit(named("later")).future.result(WAIT_SECONDS)
    assert batcher.mean_batch_seconds < 5


def test_a_cancelled_request_leaves_the_queue_at_once(
    batcher: Batcher, device: Device
) -> None:
    occupy(batcher, device)
    tickets = [batcher.submit(named(str(number))) for number in range(7)]
    with pytest.raises(QueueFull):
        batcher.submit(CAT)
    tickets[3].cancel()
    assert batcher.waiting == 6
    assert wait([tickets[3].future], timeout=0).done
    last = batcher.submit(named("last"))
    device.free.set()
    assert results([last]) == ["last"]
    assert "3" not in [name for batch in device.batches for name in batch]


def test_a_batch_goes_on_for_those_who_stay(batcher: Batcher, device: Device) -> None:
    first = occupy(batcher, device)
    pair = [batcher.submit(named("a")), batcher.submit(named("b"))]
    device.entered.clear()
    first.cancel()
    assert device.entered.wait(WAIT_SECONDS)
    pair[0].cancel()
    device.free.set()
    assert results(pair[1:]) == ["b"]
    assert device.batches[-1] == ["a", "b"]
    with pytest.raises(CancelledError):
        pair[0].future.result(WAIT_SECONDS)


def test_a_batch_stops_when_all_have_left(batcher: Batcher, device: Device) -> None:
    first = occupy(batcher, device)
    pair = [batcher.submit(named("a")), batcher.submit(named("b"))]
    device.entered.clear()
    first.cancel()
    assert device.entered.wait(WAIT_SECONDS), "the device is free for the next batch"
    for ticket in pair:
        ticket.cancel()
    device.entered.clear()
    last = batcher.submit(named("last"))
    assert device.entered.wait(WAIT_SECONDS)
    device.free.set()
    assert results([last]) == ["last"]
    assert device.batches == [["first"], ["a", "b"], ["last"]]


def test_a_coroutine_that_is_cancelled_leaves_the_queue(
    batcher: Batcher, device: Device
) -> None:
    occupy(batcher, device)

    async def leave() -> None:
        ticket = batcher.submit(named("a"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(ticket.future), 0.01)

    asyncio.run(leave())
    assert batcher.waiting == 0


def test_steps_and_previews_go_to_who_asked(batcher: Batcher, device: Device) -> None:
    first = occupy(batcher, device)
    steps: list[Step] = []
    reported = Event()

    def on_step(step: Step) -> None:
        steps.append(step)
        reported.set()
        raise ValueError("the client is gone")

    a = batcher.submit(named("a", width=128))
    b = batcher.submit(named("b", width=128), on_step, with_preview=True)
    first.cancel()
    assert reported.wait(WAIT_SECONDS)
    device.free.set()
    assert results([a, b]) == ["a", "b"], "a failing report stops nobody"
    assert steps[0] == Step(1, 2)
    index = device.batches[-1].index("b")
    assert device.previews[-1] == frozenset({index})


def test_a_request_that_fails_fails_alone(batcher: Batcher, device: Device) -> None:
    occupy(batcher, device)
    tickets = [batcher.submit(named(name)) for name in ("a", "fails", "b")]
    device.free.set()
    assert results([tickets[0], tickets[2]]) == ["a", "b"]
    with pytest.raises(ArithmeticError):
        tickets[1].future.result(WAIT_SECONDS)


def test_batches_shrink_when_memory_runs_out(batcher: Batcher, device: Device) -> None:
    device.room = 2
    occupy(batcher, device)
    tickets = [batcher.submit(named(name)) for name in "abcd"]
    too_large = batcher.submit(named("e", seeds=(1, 2, 3), width=128))
    device.free.set()
    assert results(tickets) == ["a", "b", "c", "d"]
    with pytest.raises(OutOfDeviceMemory):
        too_large.future.result(WAIT_SECONDS)
    assert device.batches[1:6] == [[*"abcd"], ["a"], ["b"], ["c"], ["d"]]
    device.free.clear()
    device.entered.clear()
    occupy(batcher, device)
    again = [batcher.submit(named(name)) for name in "abcd"]
    device.free.set()
    results(again)
    assert device.batches[-2:] == [["a", "b"], ["c", "d"]]


def test_what_the_engine_can_not_make_is_not_queued(batcher: Batcher) -> None:
    with pytest.raises(InvalidInput):
        batcher.submit(named("a", width=65))
    assert batcher.waiting == 0


def test_closing_cancels_what_waits_and_what_runs(device: Device) -> None:
    before = set(threading.enumerate())
    batcher = Batcher(device, most_requests=8, most_images=4)
    tickets = [occupy(batcher, device), batcher.submit(named("a"))]
    batcher.close()
    assert all(ticket.future.cancelled() for ticket in tickets)
    with pytest.raises(Unavailable):
        batcher.submit(CAT)
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize(("requests", "images"), [(0, 1), (1, 0)])
def test_limits_must_be_positive(requests: int, images: int, device: Device) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Batcher(device, requests, images)


def test_a_client_that_leaves_frees_the_worker_within_two_steps(
    engine: DiffusersEngine,
) -> None:
    """At step 1 of 50, 20 times, while the next requests arrive."""
    batcher = Batcher(engine, most_requests=8, most_images=4)
    long, short = replace(CAT, steps=50), replace(CAT, steps=2, guidance=1.0)
    for _ in range(20):
        began = Event()
        ticket = batcher.submit(long, lambda _, began=began: began.set())
        assert began.wait(WAIT_SECONDS)
        with recorded() as calls:
            canceller = threading.Thread(target=leave, args=(ticket, calls))
            canceller.start()
            after = batcher.submit(short)
            assert after.future.result(WAIT_SECONDS).steps == 2
            canceller.join()
        # Those with guidance are the long request's: two images in each step. One runs
        # while the client leaves, and one more may have been about to begin.
        assert calls.steps[calls.left_at :].count(2) <= 1
    batcher.close()


def leave(ticket: Ticket, calls: Calls) -> None:
    ticket.cancel()
    calls.left_at = len(calls.steps)
