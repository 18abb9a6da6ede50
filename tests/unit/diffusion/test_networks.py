from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from serve_app.diffusion import networks, tiny
from serve_app.errors import InvalidInput
from tests.unit.diffusion.pipelines import picture


def encoded(pipeline: Any, image: Any) -> torch.Tensor:
    pixels = torch.from_numpy(image.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)
    with torch.no_grad():
        latents: torch.Tensor = pipeline.vae.encode(pixels[None]).latent_dist.mean[0]
    return latents


@pytest.mark.parametrize(
    ("config", "shift", "scale"),
    [
        ({}, 0.0, 0.13025),
        ({"latents_mean": [1.0] * 4, "latents_std": [2.0] * 4}, 1.0, 0.13025 / 2),
        ({"shift_factor": 0.5}, 0.5, 0.13025),
    ],
)
def test_latents_are_scaled_as_the_model_needs_them(
    config: dict[str, Any], shift: float, scale: float
) -> None:
    pipeline = tiny.stable_diffusion_xl()
    expected = (encoded(pipeline, picture(1)) - shift) * scale
    pipeline.vae.register_to_config(**config)
    found = networks.mean_latents(pipeline, [picture(1)])
    assert torch.allclose(found, expected, atol=1e-6)


def test_an_encoder_that_overflows_in_half_precision_runs_in_single() -> None:
    pipeline = tiny.stable_diffusion_xl()
    pipeline.vae.to(torch.float16)
    exact = encoded(pipeline.to(torch.float32), picture(1)) * 0.13025
    pipeline.to(torch.float16)
    pipeline.vae.register_to_config(force_upcast=True)
    found = networks.mean_latents(pipeline, [picture(1), picture(1)])
    assert pipeline.vae.dtype == found.dtype == torch.float16
    assert torch.allclose(found.float(), exact, atol=1e-3)


def test_models_without_such_latents_combine_nothing() -> None:
    vae = SimpleNamespace(config=SimpleNamespace())
    with pytest.raises(InvalidInput, match="Send one"):
        networks.mean_latents(SimpleNamespace(vae=vae), [picture(1)] * 2)


def test_only_tokenizers_of_clip_have_a_limit_to_warn_of() -> None:
    pipeline = tiny.stable_diffusion()
    assert networks.read_tokens(pipeline, "a cat") == (6, 77)
    assert networks.read_tokens(SimpleNamespace(tokenizer=len), "a cat") == (0, 0)


def test_transformers_take_the_place_of_a_unet() -> None:
    pipeline = SimpleNamespace(transformer="network")
    assert networks.denoiser(pipeline) == "network"
