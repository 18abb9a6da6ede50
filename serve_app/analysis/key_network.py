"""The network that estimates 24 keys from the pitches of each second, in numpy.

It treats all twelve tonics alike: rotating its input rotates its output. From music
composed for it, it learned which overtones belong to a note, which notes form chords,
and which chords form a key; `tools/key_training` trains it.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serve_app.analysis.chroma import PITCHES, Matrix
from serve_app.analysis.network import weights_in

Weights = Mapping[str, Matrix]
Tensor = NDArray[np.float32]

CLASSES = 12

_PATH = Path(__file__).parent / "weights" / "key.npz"
_REACH = 24  # Semitones up and down: a note's overtones, and notes it is overtone of.
# Pitches above C1 that are purely bass, middle or treble; interpolated in between.
_REGISTERS = (9, 28, 48)
_BLOCK = 128  # Seconds per batch, to bound the memory.


def weights() -> Weights:
    """Return the weights included in the package."""
    return weights_in(_PATH)


def harmony(strengths: Matrix) -> Tensor:
    """Return harmonic features of each second, (seconds, features, 12).

    `strengths` (seconds, 84) are divided by the song's mean.
    """
    features = len(weights()["chords.bias"])
    found = np.empty((len(strengths), features, CLASSES), np.float32)
    for at in range(0, len(strengths), _BLOCK):
        found[at : at + _BLOCK] = _harmony(strengths[at : at + _BLOCK])
    return found


def logits(mean_harmony: Tensor) -> Matrix:
    """Return the logits of 24 keys, major keys first, from mean harmony (n, f, 12)."""
    blocks = range(0, len(mean_harmony), _BLOCK)
    return np.concatenate([_logits(mean_harmony[at : at + _BLOCK]) for at in blocks])


def _logits(mean_harmony: Tensor) -> Matrix:
    scales = np.maximum(_apply(mean_harmony, "scales"), 0)
    return _apply(scales, "keys").reshape(len(mean_harmony), -1)


def _harmony(strengths: Matrix) -> Tensor:
    parameters = weights()
    padded = np.pad(strengths, ((0, 0), (_REACH, _REACH)))
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * _REACH + 1, axis=1)
    notes = np.maximum(
        around @ parameters["harmonics.weight"] + parameters["harmonics.bias"], 0
    )
    notes = np.maximum(notes @ parameters["notes.weight"] + parameters["notes.bias"], 0)
    octaves = notes.reshape(len(notes), PITCHES // CLASSES, CLASSES, -1)
    registers = _registers().reshape(3, PITCHES // CLASSES, CLASSES)
    chroma = np.einsum("toci,roc->tric", octaves, registers, optimize=True)
    chords = _apply(chroma.reshape(len(notes), -1, CLASSES), "chords")
    return np.maximum(chords, 0)


def _registers() -> Matrix:
    """Return each pitch's share of bass, middle and treble, (3, 84)."""
    pitches = np.arange(PITCHES)
    return np.array(
        [np.interp(pitches, _REGISTERS, shares) for shares in np.eye(3)], np.float32
    )


def _apply(chroma: Tensor, layer: str) -> Tensor:
    """Apply a layer (12 * in, out) at each of the 12 tonics: (n, in, 12) to out."""
    parameters = weights()
    around = np.concatenate([chroma, chroma[:, :, : CLASSES - 1]], axis=2)
    windows = np.lib.stride_tricks.sliding_window_view(around, CLASSES, axis=2)
    rows = windows.transpose(0, 2, 1, 3).reshape(len(chroma) * CLASSES, -1)
    turned = rows @ parameters[f"{layer}.weight"] + parameters[f"{layer}.bias"]
    return turned.reshape(len(chroma), CLASSES, -1).transpose(0, 2, 1)
