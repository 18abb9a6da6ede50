"""What is asked of pipelines, whatever their kind."""

import inspect
from collections.abc import Collection
from typing import Any

import torch
from diffusers import StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline
from torch import Tensor
from transformers import CLIPTokenizer

from serve_app.diffusion.port import Pixels
from serve_app.errors import InvalidInput


def denoiser(pipeline: Any) -> Any:
    """Return the network of a pipeline that runs in each step."""
    return getattr(pipeline, "unet", None) or pipeline.transformer


def parameters(pipeline: Any) -> Collection[str]:
    """Return the names of the parameters of a pipeline's call."""
    return inspect.signature(pipeline.__call__).parameters.keys()


def is_xl(pipeline: Any) -> bool:
    """Return whether a pipeline's latents are those of Stable Diffusion XL."""
    return isinstance(
        pipeline, StableDiffusionXLPipeline | StableDiffusionXLImg2ImgPipeline
    )


def read_tokens(pipeline: Any, text: str) -> tuple[int, int]:
    """Return the tokens of a text, and how many of them the model reads."""
    tokenizer = getattr(pipeline, "tokenizer", None)
    # Others read hundreds.
    if not isinstance(tokenizer, CLIPTokenizer):
        return 0, 0
    return len(tokenizer(text).input_ids), tokenizer.model_max_length


@torch.no_grad()
def mean_latents(pipeline: Any, images: Collection[Pixels]) -> Tensor:
    """Return the mean of the latents of images of one size, (channel, height, width).

    They are the most likely latents of each, scaled as the pipeline scales them.
    """
    vae = pipeline.vae
    if not hasattr(vae.config, "scaling_factor"):
        raise InvalidInput("This model can't combine several images. Send one.")
    kept = vae.dtype
    # The pipelines of SDXL do so too: its encoder overflows in half precision.
    if getattr(vae.config, "force_upcast", False):
        vae.to(torch.float32)
    found = []
    for image in images:
        pixels = torch.from_numpy(image.transpose(2, 0, 1).copy())[None]
        scaled = pixels.to(vae.device, vae.dtype) / 127.5 - 1
        found.append(vae.encode(scaled).latent_dist.mode()[0])
    vae.to(kept)
    return _scaled(vae, torch.stack(found).mean(dim=0).to(kept))


def _scaled(vae: Any, latents: Tensor) -> Tensor:
    """Scale latents as pipelines do: by the deviation of all images in training."""
    config = vae.config
    if getattr(config, "latents_mean", None) and getattr(config, "latents_std", None):
        mean, std = (
            torch.tensor(values).view(-1, 1, 1).to(latents)
            for values in (config.latents_mean, config.latents_std)
        )
        latents = (latents - mean) / std
    elif getattr(config, "shift_factor", None):
        latents = latents - config.shift_factor
    scaled: Tensor = latents * config.scaling_factor
    return scaled
