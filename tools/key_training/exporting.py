"""Conversion of the trained network to `serve_app.analysis.key_network`'s file."""

from pathlib import Path

import numpy as np
import torch

from tools.key_training.network import KeyNetwork


def export(network: KeyNetwork, path: Path) -> None:
    """Write the weights in float16, transposed for numpy's `input @ weights`."""
    state = {name: value.numpy() for name, value in network.state_dict().items()}
    arrays = {}
    for layer in ("harmonics", "notes", "chords", "scales", "keys"):
        kind = f"{layer}.conv" if f"{layer}.conv.weight" in state else layer
        weight = state[f"{kind}.weight"]
        arrays[f"{layer}.weight"] = weight.reshape(len(weight), -1).T
        arrays[f"{layer}.bias"] = state[f"{kind}.bias"]
    half = {name: value.astype(np.float16) for name, value in arrays.items()}
    np.savez_compressed(path, **half)


def read(path: Path, dropout: float = 0.0) -> KeyNetwork:
    """Return the network with the weights of an exported file."""
    network = KeyNetwork(dropout=dropout).eval()
    state = network.state_dict()
    with np.load(path) as file:
        for name in file.files:
            layer, kind = name.split(".")
            full = name if name in state else f"{layer}.conv.{kind}"
            value = torch.tensor(file[name].astype(np.float32))
            rows = value.T if kind == "weight" else value
            state[full] = rows.reshape(state[full].shape)
    network.load_state_dict(state)
    return network
