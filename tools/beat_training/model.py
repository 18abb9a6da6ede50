"""The network of serve_app.analysis.network in torch, for training."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from serve_app.analysis.features import BANDS
from serve_app.analysis.network import (
    FRONT_FRAMES,
    RISE_FRAMES,
    RISE_GAIN,
    TAPS,
    TEMPI_BPM,
)


def with_rises(levels: Tensor) -> Tensor:
    """Append each band's rise to levels (songs, n, bands), as in numpy."""
    before = functional.pad(levels, (1, 1, RISE_FRAMES, 0))[:, :-RISE_FRAMES]
    highest = torch.maximum(
        torch.maximum(before[..., :-2], before[..., 2:]), before[..., 1:-1]
    )
    rises = functional.relu(levels - highest) * RISE_GAIN
    return torch.cat([levels, rises], dim=2)


def dilated_layers(channels: int, layers: int, taps: int) -> nn.ModuleList:
    """Return convolutions that keep the length, each with twice the dilation."""
    return nn.ModuleList(
        nn.Conv1d(
            channels,
            channels,
            taps,
            dilation=2**layer,
            padding=taps // 2 * 2**layer,
        )
        for layer in range(layers)
    )


class BeatModel(nn.Module):
    """A network from normalised levels to beats, downbeats and tempo."""

    def __init__(
        self, channels: int = 32, layers: int = 9, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.front = nn.Linear(2 * BANDS * FRONT_FRAMES, channels)
        self.dilated = dilated_layers(channels, layers, TAPS)
        self.mix = nn.ModuleList(nn.Linear(channels, channels) for _ in range(layers))
        self.beat = nn.Linear(channels, 2)
        self.pool = nn.Linear(channels * layers, 64)
        self.tempo = nn.Linear(64, len(TEMPI_BPM))
        self.chance = dropout

    def dropout(self, hidden: Tensor) -> Tensor:
        """Drop whole channels of each song in all its frames, while training."""
        if not self.training or not self.chance:
            return hidden
        kept = torch.rand(len(hidden), *[1] * (hidden.dim() - 2), hidden.shape[-1])
        return hidden * ((kept > self.chance) / (1 - self.chance))

    def forward(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (songs, n, 2) and (songs, 63) of levels (songs, n, bands)."""
        around = FRONT_FRAMES // 2
        both = functional.pad(with_rises(levels), (0, 0, around, around))
        frames = levels.shape[1]
        near = [both[:, shift : shift + frames] for shift in range(FRONT_FRAMES)]
        hidden = self.dropout(functional.relu(self.front(torch.cat(near, dim=2))))
        activity = []
        for dilated, mix in zip(self.dilated, self.mix, strict=True):
            active = functional.relu(dilated(hidden.transpose(1, 2))).transpose(1, 2)
            activity.append(active.mean(dim=1))
            hidden = hidden + mix(self.dropout(active))
        beats = self.beat(self.dropout(functional.relu(hidden)))
        pooled = functional.relu(self.pool(self.dropout(torch.cat(activity, dim=1))))
        return beats, self.tempo(self.dropout(pooled))

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Return the weights with the names and shapes of the numpy network."""
        arrays = {}
        for name, layer in (
            ("front", self.front),
            ("beat", self.beat),
            ("pool", self.pool),
            ("tempo", self.tempo),
        ):
            arrays[f"{name}_weight"] = layer.weight.T
            arrays[f"{name}_bias"] = layer.bias
        for number, dilated in enumerate(self.dilated):
            arrays[f"dilated_weight_{number}"] = dilated.weight.permute(2, 1, 0)
            arrays[f"dilated_bias_{number}"] = dilated.bias
        for number, mix in enumerate(self.mix):
            arrays[f"mix_weight_{number}"] = mix.weight.T
            arrays[f"mix_bias_{number}"] = mix.bias
        return {
            name: np.ascontiguousarray(array.detach().numpy())
            for name, array in arrays.items()
        }
