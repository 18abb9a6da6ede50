"""The interface for other networks, tested with one not from torchaudio."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from serve_app.separation.engine import Engine, MixStatistics
from serve_app.separation.models import find
from serve_app.separation.weights import load
from tests.networks import ON_CPU
from tests.unit.separation.reference import separate_plainly

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("demucs") is None, reason="needs the extra `demucs`"
)


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    """Return the transformer with random weights."""
    torch.manual_seed(0)
    spec = find("htdemucs")
    return spec.make(spec.sources).eval()


@pytest.fixture(scope="module")
def weights(
    network: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """Write its weights in the published format: safetensors, half precision."""
    path = tmp_path_factory.mktemp("weights") / "955717e8.safetensors"
    save_file({k: v.half() for k, v in network.state_dict().items()}, path)
    yield path
    path.unlink()


def test_it_has_the_size_of_the_published_one(network: torch.nn.Module) -> None:
    count = sum(value.numel() for value in network.parameters())
    assert count == 41_984_456


def test_it_separates_as_it_does_by_itself(weights: Path) -> None:
    spec = find("htdemucs")
    mix = np.random.default_rng(0).normal(0, 0.1, (2, 60_000)).astype(np.float32)
    mono = mix.mean(0)
    stats = MixStatistics(mix.shape[1], float(mono.mean()), float(mono.std()))
    with Engine.load(spec, weights, ON_CPU) as engine:
        blocks = engine.separate(
            [mix], stats, on_progress=lambda *_: None, cancelled=Event()
        )
        found = np.concatenate(list(blocks), axis=-1)
        assert engine.facts.precision == "fp32"
    expected = separate_plainly(load(spec, weights), mix, spec.window)
    assert found.shape == expected.shape == (4, *mix.shape)
    assert np.abs(found - expected).max() < 1e-5
    assert np.abs(found).max() > 1e-3
