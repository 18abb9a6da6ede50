"""The numpy network equals the trained one and treats all tonics alike."""

import numpy as np
import torch

from serve_app.analysis import key_network
from serve_app.analysis.chroma import PITCHES
from tools.key_training import exporting
from tools.train_key import WEIGHTS


def pitches(seconds: int) -> np.ndarray:
    drawn = np.random.default_rng(5).exponential(1.0, (seconds, PITCHES))
    return np.asarray(drawn, np.float32)


def test_numpy_tells_what_torch_does() -> None:
    strengths = pitches(200)
    with torch.no_grad():
        weights = torch.full((1, 200), 1 / 200)
        theirs = exporting.read(WEIGHTS)(torch.tensor(strengths)[None], weights)[
            0
        ].numpy()
    harmony = key_network.harmony(strengths)
    ours = key_network.logits(harmony.mean(axis=0, keepdims=True))[0]
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_music_that_is_transposed_is_in_the_transposed_key() -> None:
    strengths = np.zeros((3, PITCHES), np.float32)
    strengths[:, 30:50] = pitches(3)[:, 30:50]
    here = key_network.logits(key_network.harmony(strengths))
    # By an octave at most, because registers differ.
    moved = key_network.harmony(np.roll(strengths, 12, axis=1))
    assert moved.shape == (3, len(key_network.weights()["chords.bias"]), 12)
    rolled = np.roll(moved, 5, axis=2)
    there = key_network.logits(rolled).reshape(3, 2, 12)
    back = key_network.logits(moved).reshape(3, 2, 12)
    np.testing.assert_allclose(there, np.roll(back, 5, axis=2), atol=1e-4)
    assert here.shape == (3, 24)
