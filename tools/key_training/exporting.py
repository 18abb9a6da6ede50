"""The trained network as `serve_app.analysis.key_network` reads it."""

from pathlib import Path

import numpy as np

from tools.key_training.network import KeyNetwork


def export(network: KeyNetwork, path: Path) -> None:
    """Write the weights in float16, turned so that numpy multiplies from the left."""
    state = {name: value.numpy() for name, value in network.state_dict().items()}
    arrays = {}
    for layer in ("harmonics", "notes", "chords", "scales", "keys"):
        kind = f"{layer}.conv" if f"{layer}.conv.weight" in state else layer
        weight = state[f"{kind}.weight"]
        arrays[f"{layer}.weight"] = weight.reshape(len(weight), -1).T
        arrays[f"{layer}.bias"] = state[f"{kind}.bias"]
    half = {name: value.astype(np.float16) for name, value in arrays.items()}
    np.savez_compressed(path, **half)
