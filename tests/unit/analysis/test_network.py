"""The numpy network equals the trained one, for songs of any length."""

import numpy as np
import pytest
import torch

from serve_app.analysis import network
from serve_app.analysis.features import BANDS, FRAMES_PER_SECOND
from tests.unit.analysis import music
from tools.beat_training.model import BeatModel


def test_numpy_runs_what_torch_trained() -> None:
    torch.manual_seed(0)
    model = BeatModel().eval()
    levels = np.random.default_rng(0).random((400, BANDS), np.float32)
    probabilities, tempi = network.run(model.weights(), levels)
    with torch.no_grad():
        beats, tempo = model(torch.from_numpy(levels[None]))
    np.testing.assert_allclose(probabilities, torch.sigmoid(beats)[0], atol=1e-5)
    np.testing.assert_allclose(tempi, torch.softmax(tempo, 1)[0], atol=1e-5)


def heard(song: music.Mono, block: int) -> network.Activations:
    engine = network.NetworkEngine()
    for at in range(0, len(song), block):
        engine.add(song[at : at + block])
    return engine.activations()


def test_blocks_of_any_length_are_heard_alike() -> None:
    song = music.drums(120, seconds=12)
    whole, parts = heard(song, len(song)), heard(song, 5_000)
    np.testing.assert_allclose(parts.beats, whole.beats, atol=1e-5)
    np.testing.assert_allclose(parts.tempi, whole.tempi, atol=1e-5)


def test_a_long_song_is_heard_in_pieces_as_it_is_as_a_whole() -> None:
    song = music.drums(120, seconds=150)
    parts = heard(song, 100_000)
    assert len(parts.beats) == 150 * FRAMES_PER_SECOND + 1
    spectrogram = network.Spectrogram()
    levels = np.concatenate([spectrogram.add(song), spectrogram.end()])
    whole, _ = network.run(
        network.weights_in(network._WEIGHTS), network.normalised(levels)
    )
    # The first block has ten seconds of context after it, the second before it.
    assert np.abs(parts.beats - whole[:, 0])[:-2].max() < 0.1


@pytest.mark.parametrize("gain", [1e-3, 0.1])
def test_loudness_does_not_matter(gain: float) -> None:
    song = music.drums(97, seconds=10)
    np.testing.assert_allclose(
        heard(np.float32(gain) * song, 4_096).beats, heard(song, 4_096).beats, atol=0.02
    )


def test_nothing_is_heard_in_nothing() -> None:
    activations = network.NetworkEngine().activations()
    assert activations.downbeats.shape == (1,)
    assert np.isfinite(activations.tempi).all()
