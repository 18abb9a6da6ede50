"""Tiny pipelines with random weights: for tests, and for trying out the service.

They have the parts and the shapes of Stable Diffusion, and answer within a second, but
nobody has trained them: their images are coloured noise, whatever the prompt.
"""

from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

from serve_app.diffusion.sampling import Sampling

NAME = "tiny (random weights, not a trained model)"
NOTE = (
    "The model `tiny` has random weights: its images are noise, for trying out the "
    "service. Set SD_MODEL_ID to a real model."
)
SAMPLING = Sampling(steps=4, guidance=2.0)

_SEED = 20
_WIDTH = 32
_TOKENS = 77
_BOS, _EOS = "<|startoftext|>", "<|endoftext|>"
# The noise of Stable Diffusion: Rombach et al. 2022.
_NOISE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
}


def stable_diffusion() -> Any:
    """Return a StableDiffusionPipeline for 64 x 64 pixels, the same every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        return StableDiffusionPipeline(
            vae=_vae(0.18215),
            text_encoder=CLIPTextModel(_text_config()).eval(),
            tokenizer=tokenizer(),
            unet=_unet(cross_attention_dim=_WIDTH),
            scheduler=PNDMScheduler(
                **_NOISE, skip_prk_steps=True, set_alpha_to_one=False
            ),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )


def stable_diffusion_xl() -> Any:
    """Return a StableDiffusionXLPipeline for 64 x 64 pixels, the same every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        return StableDiffusionXLPipeline(
            vae=_vae(0.13025),
            text_encoder=CLIPTextModel(_text_config()).eval(),
            text_encoder_2=CLIPTextModelWithProjection(_text_config()).eval(),
            tokenizer=tokenizer(),
            tokenizer_2=tokenizer(),
            unet=_unet(
                # Both encoders' states, side by side.
                cross_attention_dim=2 * _WIDTH,
                addition_embed_type="text_time",
                addition_time_embed_dim=8,
                # Six numbers of sizes, and the second encoder's summary.
                projection_class_embeddings_input_dim=6 * 8 + _WIDTH,
            ),
            scheduler=EulerDiscreteScheduler(**_NOISE, timestep_spacing="leading"),
        )


def _unet(**options: Any) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4,
        **options,
    ).eval()


def _vae(scaling_factor: float) -> AutoencoderKL:
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        layers_per_block=1,
        # Four levels: one latent for 8 x 8 pixels, as in Stable Diffusion.
        block_out_channels=(4, 4, 8, 8),
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        sample_size=64,
        scaling_factor=scaling_factor,
        # Not even half precision overflows in it.
        force_upcast=False,
    ).eval()


def _text_config() -> CLIPTextConfig:
    vocabulary = _vocabulary()
    return CLIPTextConfig(
        vocab_size=len(vocabulary),
        hidden_size=_WIDTH,
        intermediate_size=2 * _WIDTH,
        projection_dim=_WIDTH,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=_TOKENS,
        bos_token_id=vocabulary[_BOS],
        eos_token_id=vocabulary[_EOS],
        pad_token_id=vocabulary[_EOS],
    )


def tokenizer() -> CLIPTokenizer:
    return CLIPTokenizer(
        vocab=_vocabulary(), merges=[], model_max_length=_TOKENS, pad_token=_EOS
    )


def _vocabulary() -> dict[str, int]:
    """Return tokens of one byte each, inside of words and at their ends."""
    letters = sorted(ByteLevel.alphabet())
    words = [*letters, *(f"{letter}</w>" for letter in letters), _BOS, _EOS]
    return {word: index for index, word in enumerate(words)}
