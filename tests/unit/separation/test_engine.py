from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from threading import Event, Semaphore, Thread
from time import sleep

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from serve_app.errors import (
    Cancelled,
    Unavailable,
    WeightsUnavailable,
)
from serve_app.separation.engine import DeviceTime, Engine, MixStatistics
from serve_app.separation.level import restored
from serve_app.separation.models import find
from serve_app.separation.overlap_add import join
from serve_app.separation.windows import WindowSpec, plan
from tests.networks import ON_CPU, on_cpu
from tests.unit.separation.reference import separate_plainly

Samples = NDArray[np.float32]

WINDOW, OVERLAP = 20_480, 4096
HOP = WINDOW - OVERLAP
# The demo's own network, but shorter windows, so that a pass takes a tenth of a second.
SPEC = replace(find("demo"), window=WindowSpec(WINDOW, OVERLAP))


class Mirror(torch.nn.Module):
    """A model whose first stem is the mix and whose others are silent."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = Event()
        self.gate.set()
        self.batches: list[int] = []
        self.seconds = 0.0

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        assert self.gate.wait(10)
        sleep(self.seconds)
        self.batches.append(batch.shape[0])
        return torch.stack((batch, *[torch.zeros_like(batch)] * 3), dim=1)


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    """Return the demo's network with weights that make loud and different stems."""
    torch.manual_seed(7)
    return SPEC.make(SPEC.sources).eval()


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    model = Mirror()
    yield model
    model.gate.set()


def song(length: int, seed: int = 1) -> Samples:
    """Return swelling noise (2, length) with an offset, different in each channel."""
    noise = np.random.default_rng(seed).standard_normal((2, length)) * 0.1
    noise *= np.linspace(0.2, 1, length)
    noise[1] = noise[0] * 0.3 - noise[1]
    return (noise + 0.05).astype(np.float32)


def statistics(mix: Samples) -> MixStatistics:
    mono = mix.mean(0)
    return MixStatistics(mix.shape[1], float(mono.mean()), float(mono.std()))


def in_blocks(mix: Samples, block_samples: int = 5000) -> Iterator[Samples]:
    for start in range(0, mix.shape[1], block_samples):
        yield mix[:, start : start + block_samples]


def separate(
    engine: Engine, mix: Samples, stats: MixStatistics | None = None
) -> Samples:
    blocks = engine.separate(
        in_blocks(mix),
        stats or statistics(mix),
        on_progress=lambda done, total: None,
        cancelled=Event(),
    )
    return np.concatenate(list(blocks), axis=-1)


@pytest.mark.parametrize("max_windows", [1, 3])
def test_stems_are_those_of_the_same_windows_run_plainly(
    network: torch.nn.Module, max_windows: int
) -> None:
    mix = 2 * song(3 * HOP + WINDOW // 2)
    with Engine(SPEC, on_cpu(network), max_windows) as engine:
        stems = separate(engine, mix)
    expected = separate_plainly(network, mix, SPEC.window)
    assert stems.shape == (4, 2, mix.shape[1])
    assert stems.dtype == np.float32
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(stems, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("length", [WINDOW, WINDOW - 1, 3000])
def test_a_song_of_one_window_is_one_plain_forward_pass(
    network: torch.nn.Module, length: int
) -> None:
    mix = song(length)
    stats = statistics(mix)
    with Engine(SPEC, on_cpu(network)) as engine:
        stems = separate(engine, mix)
    padded = np.zeros((1, 2, WINDOW), np.float32)
    padded[0, :, :length] = (mix - stats.mean) / (stats.deviation + 1e-8)
    with torch.inference_mode():
        plain = network(torch.from_numpy(padded))[0, :, :, :length].numpy()
    (expected,) = restored([plain], stats.level)
    np.testing.assert_allclose(stems, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("length", [1, 2, OVERLAP, WINDOW + 1, 2 * HOP + WINDOW])
def test_a_model_that_returns_the_mix_gives_the_song_back(
    mirror: Mirror, length: int
) -> None:
    mix = song(length)
    stats = MixStatistics(length, 0.05, 0.08)
    with Engine(SPEC, on_cpu(mirror)) as engine:
        stems = separate(engine, mix, stats)
    np.testing.assert_allclose(stems.sum(axis=0), mix, rtol=0, atol=1e-6)
    # The mean that the others have is missing in the first one.
    assert np.abs(stems[1:]).max() <= 0.0501


def test_eight_songs_after_a_long_one_take_hardly_longer_than_alone(
    mirror: Mirror,
) -> None:
    """Ratio of windows run until the last short song is done to the songs' own."""
    short, long, at_once = 4, 400, 4
    # Long enough for a song to bring its next window before the device is free.
    mirror.seconds = 0.01

    def run(windows: int) -> None:
        separate(engine, song(WINDOW + (windows - 1) * HOP))

    with Engine(SPEC, on_cpu(mirror)) as engine, ThreadPoolExecutor(at_once) as pool:
        first = pool.submit(run, long)
        while not mirror.batches:
            sleep(0.001)
        before = len(mirror.batches)
        done = [pool.submit(run, short) for _ in range(8)]
        wait(done, timeout=60)
        ran = len(mirror.batches) - before
        assert not first.done()
    assert ran <= 1.5 * 8 * short


def test_silence_gives_silence(network: torch.nn.Module) -> None:
    mix = np.zeros((2, WINDOW + 5), np.float32)
    with Engine(SPEC, on_cpu(network)) as engine:
        assert not separate(engine, mix).any()


@pytest.mark.parametrize("surplus", [-3000, -1, 1, 3000])
def test_stems_have_the_promised_length_even_if_the_mix_has_not(
    mirror: Mirror, surplus: int
) -> None:
    length = 2 * WINDOW
    mix = song(length + surplus)
    with Engine(SPEC, on_cpu(mirror)) as engine:
        stems = separate(engine, mix, MixStatistics(length, 0.0, 0.1))
    kept = min(length, length + surplus)
    assert stems.shape == (4, 2, length)
    np.testing.assert_allclose(stems[0, :, :kept], mix[:, :kept], atol=1e-6)
    assert not stems[0, :, kept:].any()


def test_progress_counts_every_window(mirror: Mirror) -> None:
    mix = song(3 * HOP + WINDOW)
    seen: list[tuple[int, int]] = []
    with Engine(SPEC, on_cpu(mirror)) as engine:
        blocks = engine.separate(
            in_blocks(mix),
            statistics(mix),
            on_progress=lambda done, total: seen.append((done, total)),
            cancelled=Event(),
        )
        assert sum(block.shape[-1] for block in blocks) == mix.shape[1]
        assert engine.describe()["windows_served"] == 4
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_song_is_told_the_time_that_it_took_of_the_device(mirror: Mirror) -> None:
    mix, used, mirror.seconds = song(3 * HOP + WINDOW), DeviceTime(), 0.02
    with Engine(SPEC, on_cpu(mirror), max_windows=1) as engine:
        blocks = engine.separate(
            in_blocks(mix),
            statistics(mix),
            on_progress=lambda done, total: None,
            cancelled=Event(),
            used=used,
        )
        for _ in blocks:
            pass
    assert 4 * mirror.seconds <= used.seconds < 10


def test_songs_separated_together_are_as_if_separated_alone(
    network: torch.nn.Module,
) -> None:
    songs = [song(length, seed=length) for length in (WINDOW, 2 * HOP, 3 * WINDOW)]
    with Engine(SPEC, on_cpu(network), max_windows=4) as engine:
        alone = [separate(engine, mix) for mix in songs]
        with ThreadPoolExecutor(len(songs)) as pool:
            together = list(pool.map(lambda mix: separate(engine, mix), songs))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


class Memory:
    """An in-memory store of windows."""

    def __init__(self) -> None:
        self.windows: dict[int, Samples] = {}

    def load(self, index: int) -> Samples | None:
        stems = self.windows.get(index)
        return None if stems is None else stems.copy()

    def keep(self, index: int, stems: Samples) -> None:
        assert index not in self.windows
        self.windows[index] = stems.copy()


@pytest.mark.parametrize("lost", [(), (0,), (3, 4, 5), tuple(range(6))])
def test_a_song_goes_on_from_the_windows_that_are_kept_to_the_last_bit(
    network: torch.nn.Module, lost: tuple[int, ...]
) -> None:
    mix, memory = song(5 * HOP + WINDOW), Memory()

    def run(engine: Engine) -> Samples:
        blocks = engine.separate(
            in_blocks(mix),
            statistics(mix),
            on_progress=lambda done, total: None,
            cancelled=Event(),
            kept=memory,
        )
        return np.concatenate(list(blocks), axis=-1)

    with Engine(SPEC, on_cpu(network)) as engine:
        expected = run(engine)
    assert sorted(memory.windows) == list(range(6))
    for index in lost:
        del memory.windows[index]
    with Engine(SPEC, on_cpu(network)) as engine:
        np.testing.assert_array_equal(run(engine), expected)
        assert engine.describe()["windows_served"] == len(lost)
    assert sorted(memory.windows) == list(range(6))


def test_engines_share_an_identity_only_if_they_compute_the_same(
    mirror: Mirror,
) -> None:
    wider = replace(SPEC, window=WindowSpec(2 * WINDOW, OVERLAP))
    engines = [
        Engine(SPEC, on_cpu(mirror), weights_sha256="a"),
        Engine(SPEC, on_cpu(mirror), weights_sha256="b"),
        Engine(SPEC, on_cpu(mirror, threads=2), weights_sha256="a"),
        Engine(wider, on_cpu(mirror), weights_sha256="a"),
    ]
    same = Engine(SPEC, on_cpu(mirror), weights_sha256="a")
    assert len({engine.identity for engine in engines}) == len(engines)
    assert same.identity == engines[0].identity
    for engine in (*engines, same):
        engine.close()


def test_windows_of_songs_in_work_share_batches(mirror: Mirror) -> None:
    waiting = Semaphore(0)

    def two_windows() -> Iterator[Samples]:
        yield song(WINDOW)
        # Requested only after the first window was submitted to the batcher.
        waiting.release()
        yield song(HOP)

    mirror.gate.clear()
    with Engine(SPEC, on_cpu(mirror), max_windows=4) as engine:
        with ThreadPoolExecutor(5) as pool:
            running = [
                pool.submit(
                    lambda: list(
                        engine.separate(
                            two_windows(),
                            MixStatistics(WINDOW + HOP, 0.0, 0.1),
                            on_progress=lambda done, total: None,
                            cancelled=Event(),
                        )
                    )
                )
                for _ in range(5)
            ]
            assert all(waiting.acquire(timeout=10) for _ in running)
            mirror.gate.set()
        assert all(future.result() for future in running)
    assert sum(mirror.batches) == 10
    assert max(mirror.batches) == 4


def test_the_mix_is_read_no_faster_than_it_is_separated(mirror: Mirror) -> None:
    """At most two batches and the current block are in memory, for any length."""
    read = 0

    def endless() -> Iterator[Samples]:
        nonlocal read
        block = song(HOP)
        while True:
            read += HOP
            yield block

    with Engine(SPEC, on_cpu(mirror), max_windows=2) as engine:
        blocks = engine.separate(
            endless(),
            MixStatistics(10**12 // HOP, 0.0, 0.1),
            on_progress=lambda done, total: None,
            cancelled=Event(),
        )
        for taken in range(1, 20):
            next(blocks)
            assert read <= (taken + 2 * 2 + 1) * HOP


def test_a_cancelled_song_ends_though_its_batch_still_runs(mirror: Mirror) -> None:
    mix = song(6 * WINDOW)
    cancelled = Event()
    outcome: list[BaseException] = []
    mirror.gate.clear()

    def run() -> None:
        try:
            for _ in engine.separate(
                in_blocks(mix),
                statistics(mix),
                on_progress=lambda done, total: None,
                cancelled=cancelled,
            ):
                pass
        except Cancelled as err:
            outcome.append(err)

    with Engine(SPEC, on_cpu(mirror)) as engine:
        thread = Thread(target=run)
        thread.start()
        cancelled.set()
        thread.join(5)
        assert [type(error) for error in outcome] == [Cancelled]
        mirror.gate.set()
        # The device is free for others; of the cancelled song at most one window ran.
        assert separate(engine, song(WINDOW)).shape == (4, 2, WINDOW)
        assert len(mirror.batches) <= 2


def test_a_song_that_is_dropped_leaves_nothing_waiting(mirror: Mirror) -> None:
    with Engine(SPEC, on_cpu(mirror)) as engine:
        mix = song(20 * WINDOW)
        blocks = engine.separate(
            in_blocks(mix),
            statistics(mix),
            on_progress=lambda done, total: None,
            cancelled=Event(),
        )
        next(blocks)
        assert isinstance(blocks, Iterator)
        del blocks
        separate(engine, song(WINDOW))
        assert engine.describe()["windows_served"] <= 4


def test_a_song_in_work_when_the_engine_closes_is_to_be_tried_again(
    mirror: Mirror,
) -> None:
    engine = Engine(SPEC, on_cpu(mirror))
    mix = song(6 * WINDOW)
    blocks = engine.separate(
        in_blocks(mix),
        statistics(mix),
        on_progress=lambda done, total: None,
        cancelled=Event(),
    )
    next(blocks)
    engine.close()
    with pytest.raises(Unavailable, match="Try again"):
        list(blocks)


def test_an_error_of_the_network_reaches_the_song(mirror: Mirror) -> None:
    class Broken(Mirror):
        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            raise ArithmeticError("broken")

    with (
        Engine(SPEC, on_cpu(Broken())) as engine,
        pytest.raises(ArithmeticError, match="broken"),
    ):
        separate(engine, song(WINDOW))


def test_an_error_of_the_mix_reaches_the_song(mirror: Mirror) -> None:
    def broken() -> Iterator[Samples]:
        yield song(WINDOW)
        raise EOFError("cut off")

    with (
        Engine(SPEC, on_cpu(mirror)) as engine,
        pytest.raises(EOFError, match="cut off"),
    ):
        list(
            engine.separate(
                broken(),
                MixStatistics(4 * WINDOW, 0.0, 1.0),
                on_progress=lambda done, total: None,
                cancelled=Event(),
            )
        )


def test_warming_up_runs_one_window(mirror: Mirror) -> None:
    with Engine(SPEC, on_cpu(mirror)) as engine:
        engine.warm_up()
        assert engine.describe()["windows_served"] == 1


def test_an_engine_says_what_runs_on_what(mirror: Mirror) -> None:
    with Engine(SPEC, on_cpu(mirror, threads=2)) as engine:
        assert engine.describe() == {
            "model": "demo",
            "trained_on": "synthetic music, for trying the system out",
            "licence": SPEC.licence,
            "runtime": "torch",
            "precision": "fp32",
            "device": "cpu",
            "threads": 2,
            "streams": 1,
            "batch_windows": 1,
            "windows_served": 0,
        }


def test_the_bundled_weights_load_and_separate() -> None:
    path = Path(__file__).parents[3] / "serve_app/separation/assets/demo.safetensors"
    with Engine.load(SPEC, path, ON_CPU) as engine:
        stems = separate(engine, song(WINDOW))
    assert stems.shape == (4, 2, WINDOW)
    assert np.isfinite(stems).all()
    assert stems.any()


def test_weights_that_are_missing_make_no_engine(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable):
        Engine.load(SPEC, tmp_path / "weights.pt", ON_CPU)


@pytest.mark.parametrize(
    ("length", "mean", "deviation"),
    [(0, 0.0, 1.0), (1, float("nan"), 1.0), (1, 0.0, float("inf")), (1, 0.0, -1.0)],
)
def test_statistics_that_cannot_be_are_refused(
    length: int, mean: float, deviation: float
) -> None:
    with pytest.raises(ValueError, match="must"):
        MixStatistics(length, mean, deviation)


@pytest.mark.parametrize("side_mean", [float("nan"), float("inf")])
def test_a_side_mean_that_is_no_number_is_refused(side_mean: float) -> None:
    with pytest.raises(ValueError, match="must"):
        MixStatistics(1, 0.0, 1.0, side_mean)


def out_of_phase(mix: Samples, likeness: float = 1.0) -> Samples:
    """Return a mix whose right channel is the inverted left one, quieter."""
    return np.stack([mix[0], -np.float32(likeness) * mix[0]])


@pytest.mark.parametrize("likeness", [1.0, 0.999, 0.6])
def test_a_song_out_of_phase_is_separated_as_if_it_were_in_phase(
    network: torch.nn.Module, likeness: float
) -> None:
    inverted = out_of_phase(song(3 * HOP + WINDOW), likeness)
    inverted -= inverted.mean(axis=1, keepdims=True)
    upright = inverted * np.array([[1], [-1]], np.float32)
    stats = MixStatistics(upright.shape[1], 0.0, 0.1)
    with Engine(SPEC, on_cpu(network)) as engine:
        expected = separate(engine, upright, stats)
        found = separate(engine, inverted, stats)
    np.testing.assert_array_equal(found[:, 0], expected[:, 0])
    np.testing.assert_array_equal(found[:, 1], -expected[:, 1])


@pytest.mark.parametrize("likeness", [-1.0, -0.3, 0.0, 0.4])
def test_a_song_that_is_only_wide_goes_through_the_network_as_it_is(
    network: torch.nn.Module, likeness: float
) -> None:
    """In phase, one channel only, or the difference 7 dB over the sum."""
    mix = out_of_phase(song(WINDOW), likeness)
    with Engine(SPEC, on_cpu(network)) as engine:
        found = separate(engine, mix)
    expected = separate_plainly(network, mix, SPEC.window)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_a_song_is_turned_over_only_where_it_is_out_of_phase(
    network: torch.nn.Module,
) -> None:
    """In phase at first, then out of phase, then in phase again."""
    windows = 9
    mix = np.stack([song((windows - 1) * HOP + WINDOW)[0]] * 2)
    mix -= mix.mean()
    turned = mix.copy()
    turned[1, 3 * HOP + OVERLAP : 6 * HOP] *= -1
    stats = MixStatistics(mix.shape[1], 0.0, 0.1)
    with Engine(SPEC, on_cpu(network)) as engine:
        expected = separate(engine, mix, stats)
        found = separate(engine, turned, stats)
    # Windows 3 and 5 contain both.
    first, middle = slice(0, 3 * HOP), slice(4 * HOP + OVERLAP, 5 * HOP)
    np.testing.assert_array_equal(found[..., first], expected[..., first])
    np.testing.assert_array_equal(found[:, 0, middle], expected[:, 0, middle])
    np.testing.assert_array_equal(found[:, 1, middle], -expected[:, 1, middle])
    last = slice(6 * HOP + OVERLAP, None)
    np.testing.assert_array_equal(found[..., last], expected[..., last])


@pytest.mark.parametrize("deviation", [0.0, 1e-9])
def test_a_song_out_of_phase_that_an_older_version_measured_is_separated(
    network: torch.nn.Module, deviation: float
) -> None:
    """Such queued jobs have a deviation of 0, that of their silent mono mix."""
    mix = out_of_phase(song(2 * WINDOW))
    mix -= mix.mean(axis=1, keepdims=True)
    with Engine(SPEC, on_cpu(network)) as engine:
        expected = separate(engine, mix, MixStatistics(mix.shape[1], 0.0, 0.1))
        found = separate(engine, mix, MixStatistics(mix.shape[1], 0.0, deviation))
    assert np.abs(expected).max() > 0.05
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)


def test_windows_kept_of_a_song_out_of_phase_are_the_songs_own(
    network: torch.nn.Module,
) -> None:
    """Live playback must not need to know that the channel was inverted."""
    mix, memory = out_of_phase(song(3 * HOP + WINDOW)), Memory()
    stats = MixStatistics(mix.shape[1], 0.0, 0.1)

    def run(engine: Engine) -> Samples:
        blocks = engine.separate(
            *(in_blocks(mix), stats),
            on_progress=lambda done, total: None,
            cancelled=Event(),
            kept=memory,
        )
        return np.concatenate(list(blocks), axis=-1)

    with Engine(SPEC, on_cpu(network)) as engine:
        expected = run(engine)
        joined = join(map(memory.load, range(4)), mix.shape[1], SPEC.window)
        played = np.concatenate(list(restored(joined, stats.level)), axis=-1)
        np.testing.assert_array_equal(played, expected)
        del memory.windows[1], memory.windows[2]
        np.testing.assert_array_equal(run(engine), expected)


def test_windows_of_the_tests_are_several() -> None:
    assert len(plan(3 * HOP + WINDOW // 2, SPEC.window)) == 4
