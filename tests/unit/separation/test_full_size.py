"""The published network's size and file format, with random weights."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch

from serve_app.errors import WeightsUnavailable
from serve_app.separation.engine import Engine, MixStatistics
from serve_app.separation.models import ModelSpec, WeightsSource, find
from serve_app.separation.weights import WeightsCache
from serve_app.separation.windows import WindowSpec
from tests.networks import ON_CPU
from tests.unit.separation.conftest import FileServer
from tests.unit.separation.reference import separate_plainly

WINDOW, OVERLAP = 40_960, 8192
FILENAME = "hdemucs_high_trained.pt"


@pytest.fixture
def network() -> torch.nn.Module:
    torch.manual_seed(3)
    spec = find("hdemucs_high_musdb_plus")
    return spec.make(spec.sources).eval()


@pytest.fixture
def checkpoint(network: torch.nn.Module, tmp_path: Path) -> bytes:
    path = tmp_path / "made.pt"
    torch.save(network.state_dict(), path)
    return path.read_bytes()


def served_by(server: FileServer, sha: str | None) -> ModelSpec:
    """Return the published model with shorter windows, its weights at `server`."""
    return replace(
        find("hdemucs_high_musdb_plus"),
        weights=WeightsSource(f"{server.url}/{FILENAME}", sha),
        window=WindowSpec(WINDOW, OVERLAP),
    )


@pytest.mark.timeout(300)  # Checkpoints of 335 MB, several times over.
def test_a_full_size_checkpoint_is_pulled_over_http_and_separates(
    network: torch.nn.Module,
    checkpoint: bytes,
    file_server: FileServer,
    tmp_path: Path,
) -> None:
    """It resumes, refuses a wrong hash, and separates as exactly as torchaudio."""
    assert 330e6 < len(checkpoint) < 340e6
    file_server.files[FILENAME] = checkpoint
    cache = WeightsCache(tmp_path / "cache")
    with pytest.raises(WeightsUnavailable, match="SHA-256"):
        cache.pull(served_by(file_server, "0" * 64))

    file_server.cuts = 1
    file_server.asked_ranges.clear()
    spec = served_by(file_server, sha256(checkpoint).hexdigest())
    path = cache.pull(spec)
    assert file_server.asked_ranges == [None, f"bytes={len(checkpoint) // 2}-"]

    seeded = np.random.default_rng(5)
    mix = (seeded.standard_normal((2, 70_000)) * 0.1).astype(np.float32)
    mono = mix.mean(0)
    stats = MixStatistics(mix.shape[1], float(mono.mean()), float(mono.std()))
    with Engine.load(spec, path, ON_CPU) as engine:
        blocks = engine.separate(
            [mix], stats, on_progress=lambda done, total: None, cancelled=Event()
        )
        stems = np.concatenate(list(blocks), axis=-1)
        assert engine.describe()["windows_served"] == 2
    expected = separate_plainly(network, mix, spec.window)
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(stems, expected, rtol=0, atol=1e-5)
