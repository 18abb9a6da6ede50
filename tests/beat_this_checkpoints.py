"""Checkpoints of Beat This as they are published, but with random weights."""

from pathlib import Path

import torch

# What those of Lightning hold besides: it is to be ignored.
_TRAINING = {"fps": 50, "lr": 0.0008, "pos_weights": {"beat": 1, "downbeat": 1}}
_DROPOUT = {"frontend": 0.1, "transformer": 0.2}
FINAL: dict[str, object] = {**_TRAINING, "transformer_dim": 512, "dropout": _DROPOUT}
SMALL: dict[str, object] = {**_TRAINING, "transformer_dim": 128, "dropout": _DROPOUT}
# A tenth of the small one's time.
NARROW: dict[str, object] = {
    **SMALL,
    "transformer_dim": 64,
    "n_layers": 2,
    "partial_transformers": False,
}


def write(path: Path, form: dict[str, object]) -> None:
    """Write a checkpoint of the given hyperparameters."""
    from beat_this.model.beat_tracker import BeatThis

    torch.manual_seed(0)
    model = BeatThis(
        **{name: value for name, value in form.items() if name not in _TRAINING}
    )
    # So that it hears something.
    with torch.no_grad():
        model.task_heads.beat_downbeat_lin.weight *= 20
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    checkpoint = {
        "epoch": 99,
        "pytorch-lightning_version": "2.2.0",
        "state_dict": state,
        "hyper_parameters": form,
        "datamodule_hyper_parameters": {"batch_size": 8, "data_dir": "data"},
    }
    torch.save(checkpoint, path)
