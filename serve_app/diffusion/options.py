"""What an operator chooses of an image engine; plain data, without torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Precision = Literal["auto", "fp32", "fp16", "bf16"]

# The model id of the pipeline of serve_app.diffusion.tiny.
TINY = "tiny"


@dataclass(frozen=True)
class ModelOptions:
    """A model, and how it runs.

    `model_id` is a directory in diffusers' format, the id of a model on the Hugging
    Face Hub, or `tiny`. `weights_dir` is a directory that has models by id
    (`owner/name`) or by name; it is asked before the Hub. `lora_id` is a LoRA for few
    steps, found in the same ways. `steps` and `guidance` are those of requests that
    name none; None is the model's own, and so is an empty `scheduler`. `device` is
    `cpu`, `cuda`, `cuda:N`, `mps` or `auto`. `threads` 0 is one per core that this
    process may use; it applies to the whole process.
    """

    model_id: str
    lora_id: str = ""
    weights_dir: Path | None = None
    steps: int | None = None
    guidance: float | None = None
    scheduler: str = ""
    precision: Precision = "auto"
    device: str = "auto"
    compiled: bool = False
    threads: int = 0
