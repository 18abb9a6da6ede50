"""The network of serve_app.analysis.network in torch, to be trained."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from serve_app.analysis.features import BANDS
from serve_app.analysis.network import (
    FRONT_BANDS,
    FRONT_FRAMES,
    FRONT_STRIDE,
    TAPS,
    TEMPI_BPM,
)


class BeatModel(nn.Module):
    """Beats, downbeats and tempo from normalised levels."""

    def __init__(
        self, front: int = 16, channels: int = 32, layers: int = 9, dropout: float = 0.1
    ) -> None:
        super().__init__()
        bands = (BANDS - FRONT_BANDS) // FRONT_STRIDE + 1
        self.front = nn.Conv2d(
            1,
            front,
            (FRONT_FRAMES, FRONT_BANDS),
            stride=(1, FRONT_STRIDE),
            padding=(FRONT_FRAMES // 2, 0),
        )
        self.bands = nn.Linear(bands * front, channels)
        self.dilated = nn.ModuleList(
            nn.Conv1d(
                channels,
                channels,
                TAPS,
                dilation=2**layer,
                padding=TAPS // 2 * 2**layer,
            )
            for layer in range(layers)
        )
        self.mix = nn.ModuleList(nn.Linear(channels, channels) for _ in range(layers))
        self.beat = nn.Linear(channels, 2)
        self.pool = nn.Linear(channels * layers, 64)
        self.tempo = nn.Linear(64, len(TEMPI_BPM))
        self.dropout = nn.Dropout(dropout)

    def forward(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        """Turn levels (songs, n, bands) into logits (songs, n, 2) and (songs, 63)."""
        hidden = functional.relu(self.front(levels[:, None]))
        hidden = hidden.permute(0, 2, 3, 1).flatten(2)
        hidden = self.dropout(functional.relu(self.bands(self.dropout(hidden))))
        activity = []
        for dilated, mix in zip(self.dilated, self.mix, strict=True):
            active = functional.relu(dilated(hidden.transpose(1, 2))).transpose(1, 2)
            activity.append(active.mean(dim=1))
            hidden = hidden + mix(self.dropout(active))
        beats = self.beat(self.dropout(functional.relu(hidden)))
        pooled = functional.relu(self.pool(self.dropout(torch.cat(activity, dim=1))))
        return beats, self.tempo(self.dropout(pooled))

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Return the weights by the names and in the shapes that numpy runs them in."""
        arrays = {
            "front_weight": self.front.weight.flatten(1).T,
            "front_bias": self.front.bias,
        }
        for name, layer in (
            ("bands", self.bands),
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
