"""Training of the bar network on the beat network's output."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from serve_app.analysis import bar_network, beats, network, scores
from serve_app.analysis.bar_network import FEATURES, TAPS
from serve_app.analysis.network import Activations
from tools.beat_training.model import dilated_layers

CROP_BEATS = 64
CROPS_AT_ONCE = 32
RATE = 3e-3
# Songs with a lower F-measure of the beats teach nothing about bars.
LEAST_RIGHT = 0.7
NEAR_SECONDS = 0.07
# The share of crops without harmony, like drums alone, and the noise of all features.
UNPITCHED_SHARE, NOISE = 0.05, 0.15

# Features (k, FEATURES) and whether each beat begins a bar (k).
Song = tuple[NDArray[np.float32], NDArray[np.float32]]


class BarModel(nn.Module):
    """The network of serve_app.analysis.bar_network in torch, for training."""

    def __init__(
        self, channels: int = 32, layers: int = 5, dropout: float = 0.15
    ) -> None:
        super().__init__()
        self.front = nn.Conv1d(FEATURES, channels, TAPS, padding=TAPS // 2)
        self.dilated = dilated_layers(channels, layers, TAPS)
        self.downbeat = nn.Conv1d(channels, 1, 1)
        self.chance = dropout

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits (songs, k) of features (songs, k, FEATURES)."""
        hidden = functional.relu(self.front(self._dropout(features.transpose(1, 2))))
        for dilated in self.dilated:
            hidden = hidden + functional.relu(dilated(self._dropout(hidden)))
        logits: Tensor = self.downbeat(self._dropout(hidden))[:, 0]
        return logits

    def _dropout(self, hidden: Tensor) -> Tensor:
        return functional.dropout1d(hidden, self.chance, self.training)

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Return the weights with the names and shapes of the numpy network."""
        arrays = {
            "front_weight": self.front.weight.permute(2, 1, 0),
            "front_bias": self.front.bias,
            "downbeat_weight": self.downbeat.weight[:, :, 0].T,
            "downbeat_bias": self.downbeat.bias,
        }
        for number, dilated in enumerate(self.dilated):
            arrays[f"dilated_weight_{number}"] = dilated.weight.permute(2, 1, 0)
            arrays[f"dilated_bias_{number}"] = dilated.bias
        return {
            name: np.ascontiguousarray(array.detach().numpy())
            for name, array in arrays.items()
        }


def load(folders: Sequence[Path], beat_weights: Path) -> list[Song]:
    """Load the songs on which the beat network finds the true beats."""
    weights = network.weights_in(beat_weights)
    paths = [path for folder in folders for path in sorted(folder.glob("*.npz"))]
    songs = []
    for path in paths:
        with np.load(path) as arrays:
            activations = hear(weights, arrays["levels"], arrays["chroma"])
            pulse = beats.track(activations)
            right = scores.beat_f(arrays["beats"], pulse.times)
            if right < LEAST_RIGHT or not len(arrays["downbeats"]):
                continue
            away = np.abs(pulse.times[:, None] - arrays["downbeats"]).min(axis=1)
        is_first = (away < NEAR_SECONDS).astype(np.float32)
        songs.append((bar_network.features(activations, pulse.frames), is_first))
    return songs


def hear(
    weights: network.Weights, levels: NDArray[np.float16], chroma: NDArray[np.float16]
) -> Activations:
    """Return the beat network's activations for the levels (n, bands) of a song."""
    whole = network.normalised(levels.astype(np.float32))
    probabilities, tempi = network.run(weights, whole)
    return Activations(probabilities[:, 0], probabilities[:, 1], tempi, chroma)


def batch(rng: np.random.Generator, songs: Sequence[Song]) -> list[Tensor]:
    """Return the features, targets and valid-beat mask of a batch of crops."""
    features = np.zeros((CROPS_AT_ONCE, CROP_BEATS, FEATURES), np.float32)
    targets = np.zeros((CROPS_AT_ONCE, CROP_BEATS), np.float32)
    is_beat = np.zeros_like(targets)
    for crop in range(CROPS_AT_ONCE):
        song, is_first = songs[rng.integers(len(songs))]
        first = rng.integers(max(len(song) - CROP_BEATS, 0) + 1)
        part = slice(first, first + CROP_BEATS)
        count = len(song[part])
        features[crop, :count] = song[part]
        targets[crop, :count] = is_first[part]
        is_beat[crop, :count] = 1
        if rng.random() < UNPITCHED_SHARE:
            features[crop, :, 4:] = 0
    features += rng.normal(0, NOISE, features.shape).astype(np.float32)
    return [torch.from_numpy(part) for part in (features, targets, is_beat)]


def fit(songs: Sequence[Song], steps: int, seed: int) -> BarModel:
    """Return a model trained for `steps` steps, with exponentially averaged weights."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = BarModel()
    averaged = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.99)
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.02)
    for step in range(steps):
        for group in optimizer.param_groups:
            warm = min((step + 1) / 50, 1.0)
            group["lr"] = RATE * warm * (0.5 + 0.5 * np.cos(np.pi * step / steps))
        features, targets, is_beat = batch(rng, songs)
        each = functional.binary_cross_entropy_with_logits(
            model(features), targets, reduction="none"
        )
        loss = (each * is_beat).sum() / is_beat.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        averaged.update_parameters(model)
        if step % 500 == 499:
            print(step + 1, round(loss.item(), 4), flush=True)
    found: BarModel = averaged.module.eval()
    return found


def train(
    folders: Sequence[Path], target: Path, beat_weights: Path, steps: int, networks: int
) -> None:
    """Train `networks` networks on the folders' songs and write them to `target`."""
    torch.set_num_threads(1)
    songs = load(folders, beat_weights)
    print(len(songs), "songs", flush=True)
    weights = stacked([fit(songs, steps, seed) for seed in range(networks)]).items()
    np.savez(target, **{name: part.astype(np.float16) for name, part in weights})


def stacked(models: Sequence[BarModel]) -> dict[str, NDArray[np.float32]]:
    """Return the weights of all models, (models, ...), in the numpy network's form."""
    each = [model.weights() for model in models]
    return {name: np.stack([weights[name] for weights in each]) for name in each[0]}
