"""Plain diffusers, to compare with, and what its networks are called with."""

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    AutoPipelineForImage2Image,
    AutoPipelineForText2Image,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from numpy.typing import NDArray
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict

from serve_app.diffusion import tiny
from serve_app.diffusion.port import ImageRequest, Made, Step


def plain(directory: Path, to_image: bool = False) -> Any:
    """Return a pipeline as a script of a few lines would load it."""
    kind = AutoPipelineForImage2Image if to_image else AutoPipelineForText2Image
    pipeline = kind.from_pretrained(directory)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator("cpu").manual_seed(seed) for seed in seeds]


def arrays(result: Any) -> list[NDArray[np.uint8]]:
    """Return the images of a pipeline's result, which are Pillow's."""
    return [np.array(image) for image in result.images]


def make(engine: Any, *requests: ImageRequest) -> list[Made]:
    made: list[Made] = engine.make(requests, ignore, lambda: True)
    return made


def ignore(_: object) -> None:
    pass


def difference(
    left: Sequence[NDArray[np.uint8]], right: Sequence[NDArray[np.uint8]]
) -> int:
    """Return the largest difference between images, in levels of 255."""
    return max(
        int(np.abs(one.astype(int) - other.astype(int)).max())
        for one, other in zip(left, right, strict=True)
    )


def picture(seed: int, width: int = 64, height: int = 64) -> NDArray[np.uint8]:
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (height, width, 3), dtype=np.uint8)


def save_lora(directory: Path) -> Path:
    """Save a LoRA with random weights for the tiny Stable Diffusion."""
    pipeline = tiny.stable_diffusion()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        pipeline.unet.add_adapter(
            LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False)
        )
    StableDiffusionPipeline.save_lora_weights(
        directory, unet_lora_layers=get_peft_model_state_dict(pipeline.unet)
    )
    return directory


@dataclass
class Calls:
    """The calls of the networks: images in each step and their conditions.

    `left_at` is the number of steps that had begun when a client left.
    """

    steps: list[int] = field(default_factory=list)
    conditions: list[Any] = field(default_factory=list)
    decoded: int = 0
    left_at: int = 0


@contextmanager
def recorded() -> Any:
    """Record the calls of all networks, which still compute."""
    calls = Calls()

    def recording(real: Callable[..., Any], record: Callable[..., None]) -> Any:
        def call(network: Any, sample: Any, *args: Any, **kwargs: Any) -> Any:
            record(sample, kwargs)
            return real(network, sample, *args, **kwargs)

        return call

    def step(sample: Any, kwargs: Any) -> None:
        calls.steps.append(len(sample))
        calls.conditions.append(kwargs.get("added_cond_kwargs"))

    def decode(_sample: Any, _kwargs: Any) -> None:
        calls.decoded += 1

    networks = (
        mock.patch.object(
            UNet2DConditionModel,
            "forward",
            recording(UNet2DConditionModel.forward, step),
        ),
        mock.patch.object(
            AutoencoderKL, "decode", recording(AutoencoderKL.decode, decode)
        ),
    )
    with networks[0], networks[1]:
        yield calls


class Steps:
    """Collects steps, and wants images until `most` steps are done."""

    def __init__(self, most: int | None = None) -> None:
        self.seen: list[dict[int, Step]] = []
        self._most = most

    def __call__(self, steps: Any) -> None:
        self.seen.append(dict(steps))

    def is_wanted(self) -> bool:
        return self._most is None or len(self.seen) < self._most
