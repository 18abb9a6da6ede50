"""Bars are found from the beat network's output and from changes of harmony."""

import numpy as np
import pytest
import torch

from serve_app.analysis import bar_network, beats, network
from serve_app.analysis.features import CHROMA_FRAMES, PITCH_CLASSES
from serve_app.analysis.network import Activations
from tests.unit.analysis.test_beats import activations
from tools.beat_training import bars
from tools.beat_training.bars import BarModel


def test_numpy_runs_what_torch_trained() -> None:
    torch.manual_seed(0)
    models = [BarModel().eval(), BarModel().eval()]
    features = np.random.default_rng(0).random(
        (90, bar_network.FEATURES), dtype=np.float32
    )
    with torch.no_grad():
        song = torch.from_numpy(features[None])
        expected = torch.sigmoid((models[0](song) + models[1](song)) / 2)[0]
    found = bar_network.run(bars.stacked(models), features)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def with_chords(heard: Activations, starts: np.ndarray) -> Activations:
    """Return activations with another chord and bass note from each start (s) on."""
    rng = np.random.default_rng(3)
    seconds = np.arange(len(heard.chroma)) * CHROMA_FRAMES / 50
    chord = np.searchsorted(starts, seconds + 0.01)
    roots = np.cumsum(rng.choice([5, 7, 9], len(starts) + 1)) % PITCH_CLASSES
    notes = np.zeros((len(starts) + 1, 2 * PITCH_CLASSES), np.float32)
    for number, root in enumerate(roots):
        notes[number, (root + np.array([0, 4, 7])) % PITCH_CLASSES] = 1
        notes[number, PITCH_CLASSES + root] = 1
    chroma = notes[chord] + 0.05 * rng.random((len(chord), 2 * PITCH_CLASSES))
    return Activations(
        heard.beats, heard.downbeats, heard.tempi, chroma.astype(np.float16)
    )


@pytest.mark.parametrize(("meter", "phase"), [(4, 0), (4, 2), (3, 1)])
def test_bars_begin_where_chords_change(meter: int, phase: int) -> None:
    times = np.arange(0.31, 59.5, 0.5)
    alike = activations(times, 60, meter=1)
    faint = Activations(alike.beats, 0.25 * alike.downbeats, alike.tempi, alike.chroma)
    heard = with_chords(faint, times[phase::meter])
    is_first, found = beats.bars(heard, beats.track(heard))
    assert found == meter
    np.testing.assert_array_equal(np.flatnonzero(is_first)[1:-1] % meter, phase)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_few_beats_have_probabilities(count: int) -> None:
    heard = activations(np.arange(0.31, 3, 0.5), 3)
    found = bar_network.downbeats(heard, 16 + 25 * np.arange(count))
    assert found.shape == (count,)
    assert np.isfinite(found).all()


def test_a_long_song_is_told_in_blocks_as_it_is_as_a_whole() -> None:
    times = np.arange(0.31, 1_100, 0.5)
    heard = with_chords(activations(times, 1_100), times[::4])
    frames = np.rint(times * 50).astype(int)
    whole = bar_network.run(
        network.weights_in(bar_network._WEIGHTS), bar_network.features(heard, frames)
    )
    found = bar_network.downbeats(heard, frames)
    np.testing.assert_allclose(found, whole, atol=1e-5)
