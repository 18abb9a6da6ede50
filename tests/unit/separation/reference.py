"""A minimal separation, as a reference for the engine."""

import numpy as np
import torch
from numpy.typing import NDArray

from serve_app.separation.level import Level, restored
from serve_app.separation.windows import WindowSpec, plan


def separate_plainly(
    network: torch.nn.Module, mix: NDArray[np.float32], spec: WindowSpec
) -> NDArray[np.float32]:
    """Separate a mix (2, samples) with the whole song in memory, window by window.

    Everything except the forward passes and the last step is float64. Neighbours are
    cross-faded linearly over their overlap.
    """
    length, mono = mix.shape[1], mix.mean(0, dtype=np.float64)
    mean, deviation = float(mono.mean()), float(mono.std())
    padded = np.zeros((2, length + spec.window_samples))
    padded[:, :length] = (mix - mean) / (deviation + 1e-8)
    stems = np.zeros((4, 2, length + spec.window_samples))
    covered = 0
    for start in plan(length, spec):
        end = start + spec.window_samples
        window = torch.from_numpy(padded[None, :, start:end]).float()
        with torch.inference_mode():
            output = network(window)[0].double().numpy()
        shared = max(0, covered - start)
        later = np.ones(spec.window_samples)
        later[:shared] = (np.arange(shared) + 1) / (shared + 1)
        stems[:, :, start:end] = (1 - later) * stems[:, :, start:end] + later * output
        covered = end
    whole = stems[:, :, :length].astype(np.float32)
    return next(restored([whole], Level(mean, deviation)))
