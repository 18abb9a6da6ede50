"""The network that finds downbeats from beats and harmony, in numpy.

Chords and bass notes tend to change at the start of a bar. So the features of a beat
are the beat network's activations on it and half a beat later, and how the harmony
changes and repeats there; layers of dilated convolutions run over the beats. After
Krebs, Böck, Dorfer and Widmer (2016), "Downbeat tracking using beat-synchronous
features with recurrent networks", ISMIR.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serve_app.analysis.features import CHROMA_FRAMES, PITCH_CLASSES
from serve_app.analysis.network import Activations, Weights, highest, weights_in

Floats = NDArray[np.floating]
Integers = NDArray[np.integer]

TAPS = 3
# A beat's harmony is compared between these many beats before and after it, and with
# that of these many beats earlier.
_AROUND_BEATS, _AGO_BEATS = (1, 2, 4), (1, 2, 3, 4, 6, 8)
FEATURES = 4 + 2 * (len(_AROUND_BEATS) + len(_AGO_BEATS))
_LEAST = 0.01
# Beats per batch, to bound the memory, and beats of context on both sides: as many as
# the network sees, so that batches don't change the result.
_BLOCK_BEATS, _CONTEXT_BEATS = 2_048, 64
_WEIGHTS = Path(__file__).parent / "weights" / "bars.npz"


def downbeats(activations: Activations, frames: Integers) -> NDArray[np.float32]:
    """Return the probability (k) that each of the beats at `frames` (k) begins a bar.

    Frames are integers in ascending order. A single beat has the probability 0.5.
    """
    if len(frames) < 2:
        return np.full(len(frames), 0.5, np.float32)
    described = features(activations, frames)
    blocks = []
    for first in range(0, len(frames), _BLOCK_BEATS):
        start = max(first - _CONTEXT_BEATS, 0)
        part = described[start : first + _BLOCK_BEATS + _CONTEXT_BEATS]
        blocks.append(run(weights_in(_WEIGHTS), part)[first - start :][:_BLOCK_BEATS])
    return np.concatenate(blocks)


def features(activations: Activations, frames: Integers) -> NDArray[np.float32]:
    """Return the features (k, FEATURES) of the beats at `frames` (k > 1)."""
    last = 2 * frames[-1] - frames[-2]
    edges = np.minimum(np.append(frames, last), len(activations.beats) - 1)
    found: list[Floats] = [
        _log_odds(highest(activation, places)) / 2
        for places in (frames, (edges[1:] + edges[:-1]) // 2)
        for activation in (activations.beats, activations.downbeats)
    ]
    for pitches in np.split(
        _means(activations.chroma, edges), (PITCH_CLASSES,), axis=1
    ):
        centred = pitches - pitches.mean(axis=1, keepdims=True)
        found += [2 * _across(centred, beats) for beats in _AROUND_BEATS]
        found += [_ago(centred, beats) for beats in _AGO_BEATS]
    return np.stack(found, axis=1).astype(np.float32)


def run(weights: Weights, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probability (k) of a downbeat from features (k, FEATURES).

    The weights are those of several networks of one shape, trained with different
    seeds; their logits are averaged.
    """
    hidden = _convolved(
        features[None], weights["front_weight"], weights["front_bias"], 1
    )
    layers = sum(name.startswith("dilated_weight") for name in weights)
    for layer in range(layers):
        hidden = hidden + _convolved(
            hidden,
            weights[f"dilated_weight_{layer}"],
            weights[f"dilated_bias_{layer}"],
            2**layer,
        )
    logits = hidden @ weights["downbeat_weight"] + weights["downbeat_bias"][:, None]
    mean = np.clip(logits.mean(axis=0)[:, 0], -30, 30)
    probabilities: NDArray[np.float32] = 1 / (1 + np.exp(-mean))
    return probabilities


def _convolved(
    hidden: NDArray[np.float32],
    kernel: NDArray[np.float32],
    bias: NDArray[np.float32],
    dilation: int,
) -> NDArray[np.float32]:
    """Return rectified convolutions (networks, k, channels), dilated in beats."""
    beats = hidden.shape[-2]
    padded = np.pad(hidden, ((0, 0), (dilation, dilation), (0, 0)))
    taps = [
        padded[:, tap * dilation :][:, :beats] @ kernel[:, tap] for tap in range(TAPS)
    ]
    return np.maximum(sum(taps, bias[:, None]), 0)


def _means(chroma: NDArray[np.floating], edges: Integers) -> Floats:
    """Return the mean chroma (k, 24) from each edge, in frames, to the next."""
    starts = np.minimum(np.rint(edges / CHROMA_FRAMES).astype(int), len(chroma) - 1)
    sums = np.add.reduceat(chroma, starts, axis=0, dtype=np.float32)[:-1]
    means: Floats = sums / np.maximum(np.diff(starts), 1)[:, None]
    return means


def _across(pitches: Floats, beats: int) -> Floats:
    """Return the similarity of the `beats` beats from each one on and before it."""
    sums = np.concatenate([np.zeros((1, pitches.shape[1])), pitches.cumsum(axis=0)])
    at = np.arange(len(pitches))
    before = sums[at] - sums[np.maximum(at - beats, 0)]
    after = sums[np.minimum(at + beats, len(pitches))] - sums[at]
    return _likeness(before, after)


def _ago(pitches: Floats, beats: int) -> Floats:
    """Return the similarity of each beat to the one `beats` earlier: -1 to 1."""
    before = np.pad(pitches, ((beats, 0), (0, 0)))[: len(pitches)]
    return _likeness(before, pitches)


def _likeness(one: Floats, other: Floats) -> Floats:
    """Return the cosine similarity of rows (k), 0 where one is silent."""
    sizes = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    cosines: Floats = (one * other).sum(axis=1) / (sizes + 1e-6)
    return cosines


def _log_odds(probabilities: Floats) -> Floats:
    clipped = np.clip(probabilities, _LEAST, 1 - _LEAST)
    odds: Floats = np.log(clipped / (1 - clipped))
    return odds
