"""A short windowed pass, to score a network while it trains."""

import numpy as np
import torch
from torch import nn

WINDOW = 307_200
OVERLAP = 20_480


@torch.inference_mode()
def separate(network: nn.Module, mix: np.ndarray) -> np.ndarray:
    """Split a mix (2, samples) into stems (4, 2, samples) by cross-faded windows."""
    mono = mix.mean(0)
    mean, deviation = float(mono.mean()), float(mono.std()) + 1e-8
    length, hop = mix.shape[-1], WINDOW - OVERLAP
    starts = range(0, max(length - OVERLAP, 1), hop)
    padded = np.zeros((2, starts[-1] + WINDOW), np.float32)
    padded[:, :length] = (mix - mean) / deviation
    fade = np.linspace(0, 1, OVERLAP + 2)[1:-1]
    weight = np.concatenate([fade, np.ones(WINDOW - 2 * OVERLAP), fade[::-1]])
    total, weights = 0.0, np.zeros(padded.shape[-1])
    total = np.zeros((4, *padded.shape))
    for start in starts:
        window = torch.from_numpy(padded[None, :, start : start + WINDOW])
        total[..., start : start + WINDOW] += network(window)[0].numpy() * weight
        weights[start : start + WINDOW] += weight
    stems = (total / weights)[..., :length]
    return np.asarray(stems * deviation + mean / len(stems), np.float32)
