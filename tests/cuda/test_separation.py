"""What a GPU computes is what torchaudio computes, in batches of any size."""

import copy
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest
import torch
from torch import Tensor
from torchaudio.models import HDemucs

from serve_app.separation import networks
from serve_app.separation.backends.port import BackendOptions, OutOfMemory, Precision
from serve_app.separation.backends.pytorch import TorchBackend
from serve_app.separation.batcher import Batcher
from serve_app.separation.engine import Engine, MixStatistics
from serve_app.separation.models import find
from tests.unit.separation.test_hybrid import SOURCES, noise, ratio_db, stirred

WINDOW = 40_960
# Least dB of each stem relative to torchaudio's float32 on the CPU. On CUDA, fp32 uses
# TF32, with 10 bits of mantissa.
KINDS = [("fp32", 50), ("bf16", 35), ("fp16", 45)]


@pytest.fixture(scope="module")
def network() -> HDemucs:
    return stirred(networks.demo(SOURCES))


@pytest.fixture(scope="module")
def expected(network: HDemucs) -> Tensor:
    with torch.inference_mode():
        return network(_mixes())


def _mixes() -> Tensor:
    """Return five windows, one of them faint and silent for a while."""
    mixes = noise(5, 2, WINDOW)
    mixes[1] *= 0.01
    mixes[1, :, 10_000:20_000] = 0
    return mixes


def _backend(network: HDemucs, precision: Precision) -> TorchBackend:
    options = BackendOptions("cuda", "torch", precision)
    return TorchBackend(copy.deepcopy(network), options)


@pytest.mark.parametrize(("precision", "least_db"), KINDS)
def test_stems_are_those_of_torchaudio(
    network: HDemucs, expected: Tensor, precision: Precision, least_db: float
) -> None:
    found = _backend(network, precision).forward(_mixes())
    assert (found.dtype, found.shape) == (torch.float32, expected.shape)
    assert found.device.type == "cpu"
    for window in range(5):
        for source in range(len(SOURCES)):
            db = ratio_db(expected[window, source], found[window, source])
            assert db > least_db, (window, source)


def test_the_size_of_a_batch_changes_little(network: HDemucs) -> None:
    backend = _backend(network, "fp32")
    whole = backend.forward(_mixes())
    for size in (1, 2, 3):
        assert ratio_db(whole[:size], backend.forward(_mixes()[:size])) > 60
    # Nothing of a larger batch is left behind in a smaller one.
    assert torch.equal(backend.forward(_mixes()[:3]), backend.forward(_mixes()[:3]))


def test_results_are_not_overwritten_by_the_next_batch(network: HDemucs) -> None:
    backend = _backend(network, "fp32")
    first = backend.forward(_mixes()[:2])
    kept = first.clone()
    backend.forward(_mixes()[2:4])
    assert torch.equal(first, kept)


def test_batches_from_other_threads_are_computed(network: HDemucs) -> None:
    backend = _backend(network, "fp32")
    here = backend.forward(_mixes()[:2])
    with ThreadPoolExecutor(1) as thread:
        there = thread.submit(backend.forward, _mixes()[:2]).result()
    assert torch.equal(here, there)


def test_too_large_a_batch_is_halved_and_all_windows_are_computed(
    network: HDemucs,
) -> None:
    backend = _backend(network, "fp32")
    backend.forward(_mixes()[:1])
    used = torch.cuda.memory_reserved()
    size = torch.cuda.get_device_properties(0).total_memory
    # Some 60 MB more: too little for a large batch.
    torch.cuda.set_per_process_memory_fraction((used + 60 * 2**20) / size)
    try:
        with pytest.raises(OutOfMemory):
            backend.forward(noise(64, 2, WINDOW))
        batcher = Batcher(backend.forward, 64)
        futures: list[Future[Tensor]] = [
            batcher.submit("song", mix) for mix in noise(64, 2, WINDOW)
        ]
        stems = [future.result() for future in futures]
        most = batcher.max_windows
        batcher.close()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert most < 64
    alone = backend.forward(noise(64, 2, WINDOW)[63:])
    assert ratio_db(alone[0], stems[63]) > 60


def test_songs_at_once_are_separated_as_one_by_one() -> None:
    spec = find("demo")
    options = BackendOptions("cuda", "torch", "fp32")
    network = spec.make(spec.sources).eval().requires_grad_(False)
    songs = [noise(2, 400_000 + 10_000 * index).numpy() for index in range(4)]
    with Engine(spec, TorchBackend(network, options)) as engine:
        alone = [_separated(engine, song) for song in songs]
        with ThreadPoolExecutor(4) as threads:
            together = list(threads.map(lambda song: _separated(engine, song), songs))
    for one, other in zip(alone, together, strict=True):
        assert one.shape == other.shape
        assert ratio_db(torch.from_numpy(one), torch.from_numpy(other)) > 60


def _separated(engine: Engine, song: np.ndarray) -> np.ndarray:
    mono = song.mean(0)
    statistics = MixStatistics(
        song.shape[1], float(mono.mean()), float(mono.std()), float(song[0].mean())
    )
    blocks = engine.separate(
        iter(np.array_split(song, 7, axis=1)),
        statistics,
        on_progress=lambda *_: None,
        cancelled=Event(),
    )
    return np.concatenate(list(blocks), axis=-1)
