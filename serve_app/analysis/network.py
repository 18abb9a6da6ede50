"""The network that estimates beats, downbeats and tempo, in numpy."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from serve_app.analysis.downmix import Samples
from serve_app.analysis.features import (
    BANDS,
    FRAMES_PER_SECOND,
    PITCH_CLASSES,
    Chromagram,
    Levels,
    Spectrogram,
)

Weights = Mapping[str, NDArray[np.float32]]

# The network's tempo classes: 24 to the octave.
TEMPI_BPM = 40.0 * 2.0 ** (np.arange(63) / 24)

# The first layer sees 3 frames of levels and of rises. A rise is how far a band exceeds
# the loudest of itself and its neighbours 40 ms earlier, which suppresses vibrato: Böck
# and Widmer (2013), "Maximum filter vibrato suppression for onset detection", DAFx.
FRONT_FRAMES = 3
RISE_FRAMES = 2
RISE_GAIN = 3.0
TAPS = 5
# A beat's activation may be up to this many frames away from the beat.
NEARBY_FRAMES = 2

# Levels span 70 dB below the loudest one; below -100 dB they are not amplified.
_RANGE, _FAINTEST = np.float32(7.0), np.float32(-10.0)
_BLOCK_FRAMES = 120 * FRAMES_PER_SECOND
_CUT_FRAMES = 2
_CONTEXT_FRAMES = 10 * FRAMES_PER_SECOND
_WEIGHTS = Path(__file__).parent / "weights" / "beats.npz"


@dataclass(frozen=True)
class Activations:
    """An engine's output, 50 frames a second.

    `beats` and `downbeats` (n) are the probabilities of one in each frame. `tempi` (63)
    are those of each of TEMPI_BPM for the whole song; they sum to 1. `chroma`
    (n / 8, 24) is the output of `Chromagram`.
    """

    beats: NDArray[np.float32]
    downbeats: NDArray[np.float32]
    tempi: NDArray[np.float32]
    chroma: NDArray[np.float16]


class Engine(Protocol):
    """A beat tracker that takes mono blocks at 22,050 Hz."""

    def add(self, mono: Samples) -> None:
        """Take the next block (n)."""

    def activations(self) -> Activations:
        """Return the activations; call it once, after the last block."""


class NetworkEngine:
    """Detects beats with the network included in the package.

    For a song of any length it keeps 700 bytes a second, and two minutes of levels.
    """

    def __init__(self) -> None:
        self._weights = weights_in(_WEIGHTS)
        self._spectrogram, self._chromagram = Spectrogram(), Chromagram()
        self._chroma = [np.zeros((0, 2 * PITCH_CLASSES), np.float16)]
        self._levels = np.zeros((0, BANDS), np.float32)
        self._context = 0
        self._probabilities: list[NDArray[np.float32]] = []
        self._tempi = np.zeros(len(TEMPI_BPM), np.float64)

    def add(self, mono: Samples) -> None:
        """Take a block (n) of mono samples at 22,050 Hz."""
        self._take(self._spectrogram.add(mono))
        self._chroma.append(self._chromagram.add(mono).astype(np.float16))

    def activations(self) -> Activations:
        """Return the activations; call it once, after the last block."""
        self._take(self._spectrogram.end())
        if len(self._levels) > self._context:
            self._run(len(self._levels))
        self._chroma.append(self._chromagram.end().astype(np.float16))
        probabilities = np.concatenate(
            [np.zeros((0, 2), np.float32), *self._probabilities]
        )
        # A song that is cut off ends with a click, which is not a beat.
        probabilities[-_CUT_FRAMES:] = 0
        tempi = np.exp(self._tempi / max(len(probabilities), 1))
        return Activations(
            beats=probabilities[:, 0],
            downbeats=probabilities[:, 1],
            tempi=np.asarray(tempi / tempi.sum(), np.float32),
            chroma=np.concatenate(self._chroma),
        )

    def _take(self, levels: Levels) -> None:
        self._levels = np.concatenate([self._levels, levels])
        wanted = self._context + _BLOCK_FRAMES
        while len(self._levels) >= wanted + _CONTEXT_FRAMES:
            self._run(wanted)
            self._levels = self._levels[wanted - _CONTEXT_FRAMES :]
            self._context = _CONTEXT_FRAMES
            wanted = self._context + _BLOCK_FRAMES

    def _run(self, end: int) -> None:
        """Keep the activations between the context and the frame `end`."""
        probabilities, tempi = run(
            self._weights, normalised(self._levels[: end + _CONTEXT_FRAMES])
        )
        new = probabilities[self._context : end]
        self._probabilities.append(new)
        self._tempi += len(new) * np.log(tempi + 1e-6)


def highest(
    activation: NDArray[np.float32], frames: NDArray[np.integer]
) -> NDArray[np.floating]:
    """Return the highest value (k) of an activation (n) near each of the frames (k)."""
    padded = np.pad(activation, NEARBY_FRAMES)
    around = frames[:, None] + np.arange(2 * NEARBY_FRAMES + 1)
    found: NDArray[np.floating] = padded[around].max(axis=1).astype(np.float64)
    return found


def normalised(levels: Levels) -> Levels:
    """Return levels (n, bands) scaled from 0, 70 dB below the loudest of them, to 1."""
    loudest = max(levels.max(initial=_FAINTEST), _FAINTEST)
    scaled: Levels = np.clip((levels - loudest) / _RANGE + 1, 0, 1)
    return scaled


def run(
    weights: Weights, levels: Levels
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return probabilities (n, 2) of beats and downbeats, and of tempi (63).

    `levels` (n, bands) are normalised. The layers follow Davies and Böck (2019) and
    Böck and Davies (2020), "Deconstruct, analyse, reconstruct", ISMIR, but are smaller:
    a dense first layer, dilated convolutions, and a tempo estimated from the mean
    activity of each of them.
    """
    hidden = _front(weights, levels)
    activity = []
    layers = sum(name.startswith("dilated_weight") for name in weights)
    for layer in range(layers):
        active = _dilated(
            hidden,
            weights[f"dilated_weight_{layer}"],
            weights[f"dilated_bias_{layer}"],
            2**layer,
        )
        activity.append(active.mean(axis=0))
        hidden += active @ weights[f"mix_weight_{layer}"] + weights[f"mix_bias_{layer}"]
    np.maximum(hidden, 0, out=hidden)
    logits = hidden @ weights["beat_weight"] + weights["beat_bias"]
    tempo = np.concatenate(activity) @ weights["pool_weight"] + weights["pool_bias"]
    tempo = np.maximum(tempo, 0) @ weights["tempo_weight"] + weights["tempo_bias"]
    tempi = np.exp(tempo - tempo.max())
    return 1 / (1 + np.exp(-np.clip(logits, -30, 30))), tempi / tempi.sum()


def _front(weights: Weights, levels: Levels) -> NDArray[np.float32]:
    """Return the first hidden layer (n, channels)."""
    around = FRONT_FRAMES // 2
    both = np.pad(_with_rises(levels), ((around, around), (0, 0)))
    hidden = np.broadcast_to(
        weights["front_bias"], (len(levels), len(weights["front_bias"]))
    ).copy()
    kernels = np.split(weights["front_weight"], FRONT_FRAMES)
    for shift, kernel in enumerate(kernels):
        hidden += both[shift : shift + len(levels)] @ kernel
    return np.maximum(hidden, 0, out=hidden)


def _with_rises(levels: Levels) -> Levels:
    """Return levels (n, bands) followed by their rises: (n, 2 bands)."""
    before = np.pad(levels, ((RISE_FRAMES, 0), (1, 1)))[: len(levels)]
    highest = np.maximum(np.maximum(before[:, :-2], before[:, 2:]), before[:, 1:-1])
    rises = np.maximum(levels - highest, 0) * np.float32(RISE_GAIN)
    return np.concatenate([levels, rises], axis=1)


def _dilated(
    hidden: NDArray[np.float32],
    kernel: NDArray[np.float32],
    bias: NDArray[np.float32],
    dilation: int,
) -> NDArray[np.float32]:
    """Return the rectified convolution (n, channels), dilated in frames."""
    reach = TAPS // 2 * dilation
    padded = np.pad(hidden, ((reach, reach), (0, 0)))
    active = np.broadcast_to(bias, hidden.shape).copy()
    for tap in range(TAPS):
        active += padded[tap * dilation :][: len(hidden)] @ kernel[tap]
    return np.maximum(active, 0, out=active)


@cache
def weights_in(path: Path) -> Weights:
    """Return the weights in a file of the package; cached."""
    with np.load(path) as arrays:
        return {name: arrays[name].astype(np.float32) for name in arrays.files}
