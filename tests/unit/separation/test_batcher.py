import time
from collections.abc import Iterator
from concurrent.futures import Future, wait
from threading import Barrier, Event, get_ident

import pytest
import torch
from torch import Tensor

from serve_app.separation.backends.port import OutOfMemory
from serve_app.separation.batcher import Batcher

WAIT_SECONDS = 10


class Device:
    """A network of two stems, x and -x, which runs a batch only when allowed.

    Windows are identified by their constant value. `fails_on` is the value of windows
    that make a batch fail, `room` the most windows that fit in memory.
    """

    def __init__(self) -> None:
        self.free = Event()
        self.entered = Event()
        self.batches: list[list[int]] = []
        self.threads: set[int] = set()
        self.fails_on: int | None = None
        self.room = 1_000

    def forward(self, batch: Tensor) -> Tensor:
        self.entered.set()
        assert self.free.wait(WAIT_SECONDS)
        values = [int(window[0, 0]) for window in batch]
        if len(values) > self.room:
            raise OutOfMemory(f"no room for {len(values)}")
        self.batches.append(values)
        self.threads.add(get_ident())
        if self.fails_on in values:
            raise ArithmeticError(f"cannot take {self.fails_on}")
        return torch.stack((batch, -batch), dim=1)

    def occupy(self, batcher: Batcher) -> "Future[Tensor]":
        """Submit a window 0 and wait until it runs: later windows are queued then."""
        future = batcher.submit("first", window(0))
        assert self.entered.wait(WAIT_SECONDS)
        return future


def window(value: int) -> Tensor:
    return torch.full((2, 4), float(value))


@pytest.fixture
def device() -> Iterator[Device]:
    device = Device()
    yield device
    device.free.set()


def submit(batcher: Batcher, song: str, *values: int) -> "list[Future[Tensor]]":
    return [batcher.submit(song, window(value)) for value in values]


def results(futures: "list[Future[Tensor]]") -> list[int]:
    return [int(future.result(WAIT_SECONDS)[0, 0, 0]) for future in futures]


def test_each_window_gets_its_own_stems_in_whatever_batch(device: Device) -> None:
    device.free.set()
    batcher = Batcher(device.forward, max_windows=3)
    futures = submit(batcher, "a", *range(10))
    for value, future in enumerate(futures):
        stems = future.result(WAIT_SECONDS)
        assert torch.equal(stems, torch.stack((window(value), -window(value))))
    batcher.close()
    assert batcher.windows_served == 10


def test_windows_of_different_songs_share_a_batch(device: Device) -> None:
    batcher = Batcher(device.forward, max_windows=4)
    device.occupy(batcher)
    futures = submit(batcher, "a", 1, 2) + submit(batcher, "b", 11, 12)
    device.free.set()
    assert results(futures) == [1, 2, 11, 12]
    assert device.batches == [[0], [1, 11, 2, 12]]
    batcher.close()


def test_a_free_device_takes_what_is_there_without_waiting_for_more(
    device: Device,
) -> None:
    device.free.set()
    batcher = Batcher(device.forward, max_windows=8)
    assert results(submit(batcher, "a", 5)) == [5]
    assert device.batches == [[5]]
    batcher.close()


def test_a_batch_is_never_larger_than_allowed(device: Device) -> None:
    batcher = Batcher(device.forward, max_windows=3)
    device.occupy(batcher)
    futures = submit(batcher, "a", 1, 2, 3, 4, 5)
    device.free.set()
    results(futures)
    assert device.batches == [[0], [1, 2, 3], [4, 5]]
    batcher.close()


def test_each_stream_runs_a_batch_of_its_own_at_the_same_time() -> None:
    both = Barrier(2)

    def forward(batch: Tensor) -> Tensor:
        both.wait(WAIT_SECONDS)
        return torch.stack((batch, -batch), dim=1)

    batcher = Batcher(forward, max_windows=1, streams=2)
    assert results(submit(batcher, "a", 1, 2, 3, 4)) == [1, 2, 3, 4]
    assert batcher.windows_served == 4
    batcher.close()


def test_a_song_of_twice_the_weight_gets_twice_the_windows(device: Device) -> None:
    batcher = Batcher(device.forward, max_windows=1)
    device.occupy(batcher)
    light = submit(batcher, "light", 1, 2, 3, 4)
    heavy = [batcher.submit("heavy", window(value), 2) for value in range(11, 17)]
    device.free.set()
    results(light + heavy)
    order = [value > 10 for (value,) in device.batches[1:]]
    assert [sum(order[: 3 * turn]) for turn in (1, 2, 3)] == [2, 4, 6]
    batcher.close()


def test_a_song_that_comes_late_has_no_claim_on_what_was_before(
    device: Device,
) -> None:
    batcher = Batcher(device.forward, max_windows=1)
    device.free.set()
    results(submit(batcher, "early", *range(1, 9)))
    device.free.clear()
    device.entered.clear()
    device.occupy(batcher)
    futures = submit(batcher, "early", 9, 10) + submit(batcher, "late", 21, 22)
    device.free.set()
    results(futures)
    assert device.batches[-4:] in ([[9], [21], [10], [22]], [[21], [9], [22], [10]])
    batcher.close()


def owned(
    batcher: Batcher, owner: str, song: str, *values: int
) -> "list[Future[Tensor]]":
    return [batcher.submit(song, window(value), 1, owner) for value in values]


def test_owners_share_the_device_equally_and_then_their_songs(device: Device) -> None:
    batcher = Batcher(device.forward, max_windows=1)
    device.occupy(batcher)
    many = [
        future
        for number in range(4)
        for future in owned(batcher, "many", f"song {number}", 100 + number)
    ]
    one = owned(batcher, "one", "song", 1, 2, 3, 4)
    device.free.set()
    results(many + one)
    order = [value for (value,) in device.batches[1:]]
    assert order == [100, 1, 101, 2, 102, 3, 103, 4]
    batcher.close()


def test_weights_count_among_the_songs_of_one_owner_only(device: Device) -> None:
    batcher = Batcher(device.forward, max_windows=1)
    device.occupy(batcher)
    heavy = [batcher.submit("heavy", window(100 + n), 9, "one") for n in range(4)]
    light = owned(batcher, "other", "light", 1, 2, 3, 4)
    device.free.set()
    results(heavy + light)
    order = [value >= 100 for (value,) in device.batches[1:]]
    assert order == [True, False] * 4
    batcher.close()


def test_an_owner_that_comes_late_has_no_claim_on_what_was_before(
    device: Device,
) -> None:
    batcher = Batcher(device.forward, max_windows=1)
    device.free.set()
    results(owned(batcher, "early", "a", *range(1, 9)))
    device.free.clear()
    device.entered.clear()
    device.occupy(batcher)
    futures = owned(batcher, "early", "a", 9, 10) + owned(batcher, "late", "b", 21, 22)
    device.free.set()
    results(futures)
    late = [value > 20 for (value,) in device.batches[-4:]]
    assert late in ([False, True, False, True], [True, False, True, False])
    batcher.close()


def test_the_device_is_charged_to_songs_by_their_windows(device: Device) -> None:
    batcher = Batcher(device.forward, max_windows=4)
    device.occupy(batcher)
    futures = owned(batcher, "a", "one", 1, 2, 3) + owned(batcher, "b", "other", 9)
    began = time.perf_counter()
    device.free.set()
    results(futures)
    first = batcher.forget("first")
    one, other = batcher.forget("one"), batcher.forget("other")
    assert one == pytest.approx(3 * other)
    assert 0 < one + other <= time.perf_counter() - began
    assert first > 0
    assert batcher.forget("unknown") == 0.0
    batcher.close()


def test_a_short_song_is_not_behind_a_long_one(device: Device) -> None:
    batcher = Batcher(device.forward, max_windows=1)
    device.occupy(batcher)
    long = submit(batcher, "long", *range(100, 120))
    short = submit(batcher, "short", 1, 2)
    device.free.set()
    results(short + long)
    order = [value for (value,) in device.batches]
    assert order[:5] == [0, 100, 1, 101, 2]
    assert order[5:] == list(range(102, 120))
    batcher.close()


def test_no_song_starves_while_another_keeps_submitting(device: Device) -> None:
    """The busy song always has queued windows, like a song in progress."""
    batcher = Batcher(device.forward, max_windows=1)
    device.occupy(batcher)
    busy = submit(batcher, "busy", 100, 101)
    patient = submit(batcher, "patient", 1, 2, 3)

    def refill(future: "Future[Tensor]") -> None:
        served = int(future.result()[0, 0, 0])
        if served < 120:
            batcher.submit("busy", window(served + 2)).add_done_callback(refill)

    for future in busy:
        future.add_done_callback(refill)
    device.free.set()
    assert results(patient) == [1, 2, 3]
    before_last = device.batches[: device.batches.index([3])]
    assert len([1 for (value,) in before_last if value >= 100]) <= 4
    batcher.close()


def test_songs_take_turns_across_batches(device: Device) -> None:
    """With batches of two, three songs rotate, so that each is left out in turn."""
    batcher = Batcher(device.forward, max_windows=2)
    device.occupy(batcher)
    futures = [
        future
        for song, values in (("a", (1, 2)), ("b", (11, 12)), ("c", (21, 22)))
        for future in submit(batcher, song, *values)
    ]
    device.free.set()
    results(futures)
    assert device.batches == [[0], [1, 11], [21, 2], [12, 22]]
    batcher.close()


def test_forgotten_windows_are_never_run_and_others_are(device: Device) -> None:
    batcher = Batcher(device.forward, max_windows=2)
    running = device.occupy(batcher)
    dropped = submit(batcher, "cancelled", 1, 2, 3)
    kept = submit(batcher, "other", 11)
    batcher.forget("cancelled")
    batcher.forget("unknown")
    device.free.set()
    assert results([running, *kept]) == [0, 11]
    assert all(future.cancelled() for future in dropped)
    assert device.batches == [[0], [11]]
    batcher.close()


def test_a_window_whose_future_was_cancelled_is_left_out(device: Device) -> None:
    batcher = Batcher(device.forward, max_windows=1)
    device.occupy(batcher)
    unwanted, wanted = submit(batcher, "a", 1, 2)
    assert unwanted.cancel()
    device.free.set()
    assert results([wanted]) == [2]
    assert device.batches == [[0], [2]]
    batcher.close()


def test_whoever_waits_for_a_forgotten_window_is_told(device: Device) -> None:
    batcher = Batcher(device.forward, max_windows=1)
    device.occupy(batcher)
    waiting = submit(batcher, "a", 1)
    batcher.forget("a")
    assert wait(waiting, timeout=0).done == set(waiting)
    device.free.set()
    batcher.close()
    assert wait([batcher.submit("a", window(1))], timeout=0).done


def test_an_exception_reaches_the_window_that_caused_it(device: Device) -> None:
    device.free.set()
    device.fails_on = 7
    batcher = Batcher(device.forward, max_windows=1)
    with pytest.raises(ArithmeticError, match="cannot take 7"):
        batcher.submit("a", window(7)).result(WAIT_SECONDS)
    assert results(submit(batcher, "a", 8)) == [8]
    batcher.close()


def test_one_bad_song_does_not_fail_the_others_of_its_batch(device: Device) -> None:
    batcher = Batcher(device.forward, max_windows=3)
    device.occupy(batcher)
    device.fails_on = 7
    good, bad, fine = (
        submit(batcher, song, value)[0]
        for song, value in zip("abc", (1, 7, 2), strict=True)
    )
    device.free.set()
    assert results([good, fine]) == [1, 2]
    with pytest.raises(ArithmeticError):
        bad.result(WAIT_SECONDS)
    assert device.batches == [[0], [1, 7, 2], [1], [7], [2]]
    batcher.close()


def test_stems_of_a_window_do_not_keep_the_batch_in_memory(device: Device) -> None:
    batcher = Batcher(device.forward, max_windows=4)
    device.occupy(batcher)
    futures = submit(batcher, "a", 1, 2, 3, 4)
    device.free.set()
    stems = futures[0].result(WAIT_SECONDS)
    assert stems.untyped_storage().nbytes() == stems.nbytes
    batcher.close()


def test_the_network_is_called_from_one_thread_only(device: Device) -> None:
    device.free.set()
    batcher = Batcher(device.forward, max_windows=1)
    results(submit(batcher, "a", 1, 2, 3))
    batcher.close()
    assert len(device.threads) == 1
    assert get_ident() not in device.threads


def test_closing_cancels_what_waits_and_what_comes_later(device: Device) -> None:
    batcher = Batcher(device.forward, max_windows=1)
    running = device.occupy(batcher)
    waiting = submit(batcher, "a", 1)
    waiting[0].add_done_callback(lambda _: device.free.set())
    batcher.close()
    assert results([running]) == [0]
    assert waiting[0].cancelled()
    assert batcher.submit("a", window(2)).cancelled()
    assert device.batches == [[0]]


def test_a_batcher_for_no_window_is_refused() -> None:
    with pytest.raises(ValueError, match="max_windows"):
        Batcher(lambda batch: batch, 0)


def test_a_batch_that_does_not_fit_is_halved_and_so_are_later_ones(
    device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    device.room = 2
    batcher = Batcher(device.forward, max_windows=8)
    device.occupy(batcher)
    futures = submit(batcher, "song", *range(1, 13))
    device.free.set()
    assert results(futures) == list(range(1, 13))
    assert batcher.max_windows == 2
    assert max(map(len, device.batches)) == 2
    assert len(device.batches) == 1 + 12 / 2
    assert "max_windows=2" in caplog.text
    batcher.close()


def test_a_window_that_does_not_fit_by_itself_fails(device: Device) -> None:
    device.room = 0
    device.free.set()
    batcher = Batcher(device.forward, max_windows=4)
    with pytest.raises(OutOfMemory):
        batcher.submit("song", window(1)).result(WAIT_SECONDS)
    batcher.close()


def test_a_batch_is_reported_with_its_fill_and_its_time(device: Device) -> None:
    reported: list[tuple[float, float]] = []
    batcher = Batcher(
        device.forward, max_windows=4, on_batch=lambda *batch: reported.append(batch)
    )
    first = device.occupy(batcher)
    futures = submit(batcher, "a", 1, 2)
    device.free.set()
    results([first, *futures])
    batcher.close()
    assert [fill for fill, _ in reported] == [0.25, 0.5]
    assert all(seconds > 0 for _, seconds in reported)
