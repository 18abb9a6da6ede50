"""Load a model as an engine."""

import logging
from dataclasses import replace
from typing import Any

import diffusers
import torch
import transformers

from serve_app.diffusion import devices, networks, sampling, schedulers, sources
from serve_app.diffusion.engine import DiffusersEngine
from serve_app.diffusion.errors import ModelUnavailable
from serve_app.diffusion.options import TINY, ModelOptions
from serve_app.diffusion.port import Facts
from serve_app.diffusion.sampling import Sampling

logger = logging.getLogger(__name__)


def load(options: ModelOptions) -> DiffusersEngine:
    """Load the model that `options` name, on its device.

    A LoRA that can't be loaded is a note in the engine's facts. Raises
    ModelUnavailable, with what to do, and InvalidInput for an unknown scheduler.
    """
    _quieten()
    torch.set_num_threads(devices.cores(options.threads))
    device, notes = devices.resolve(options.device)
    precision, more_notes = devices.precision(options.precision, device)
    pipeline, facts = _pipeline(options, devices.DTYPES[precision])
    notes += (*more_notes, *facts.notes)
    has_lora, lora_notes = _with_lora(pipeline, options)
    chosen = _sampling(pipeline, options, has_lora)
    _set_scheduler(pipeline, options, chosen)
    _move(pipeline, device, options)
    facts = replace(
        facts,
        device=str(device),
        precision=precision,
        scheduler=type(pipeline.scheduler).__name__,
        memory_optimizations=_spare_memory(pipeline, device),
        notes=(*notes, *lora_notes),
    )
    for note in facts.notes:
        logger.warning("image model note=%s", note)
    if options.compiled:
        networks.denoiser(pipeline).compile()
    return DiffusersEngine(pipeline, chosen, facts, device)


def _quieten() -> None:
    """Keep the libraries from logging prompts, and from progress bars."""
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def _pipeline(options: ModelOptions, dtype: torch.dtype) -> tuple[Any, Facts]:
    """Return the text-to-image pipeline on the CPU, and what is known of it."""
    unknown = Facts(
        *(options.model_id, "unknown", "cpu", "", 1, 1.0, "fp32"), few_steps=False
    )
    if options.model_id == TINY:
        # Imported here: no other model needs it.
        from serve_app.diffusion import tiny

        facts = replace(unknown, model=tiny.NAME, licence="MIT", notes=(tiny.NOTE,))
        return tiny.stable_diffusion().to(dtype), facts
    model = sources.shown_name(options.model_id)
    directory = sources.model_directory(options.model_id, options.weights_dir)
    try:
        pipeline = diffusers.AutoPipelineForText2Image.from_pretrained(
            directory,
            dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            variant=sources.variant(directory),
        )
    except Exception as err:
        reason = sources.without_path(str(err).strip(), directory)
        raise ModelUnavailable(
            f"The model {model} can't be loaded: {reason} It must be a model for text "
            "to image, complete and in diffusers' format."
        ) from err
    licence = sources.licence(directory, options.model_id)
    return pipeline, replace(unknown, model=model, licence=licence)


def _with_lora(pipeline: Any, options: ModelOptions) -> tuple[bool, tuple[str, ...]]:
    """Add the LoRA to the weights; return whether there is one, and notes."""
    if not options.lora_id:
        return False, ()
    name, file = sources.shown_name(options.lora_id), None
    try:
        file = sources.lora_file(options.lora_id, options.weights_dir)
        pipeline.load_lora_weights(
            str(file.parent),
            weight_name=file.name,
            use_safetensors=True,
            local_files_only=True,
        )
        if not pipeline.get_list_adapters():
            raise ModelUnavailable("It is made for another kind of model.")
        # Part of the weights from here on: steps take no longer than without it.
        pipeline.fuse_lora()
        pipeline.unload_lora_weights()
    except Exception as err:
        if hasattr(pipeline, "unload_lora_weights"):
            pipeline.unload_lora_weights()
        reason = str(err).strip().split("\n")[0]
        if file is not None:
            reason = sources.without_path(reason, file.parent)
        return False, (
            f"The LoRA {name} was not loaded, so the model needs more steps than with "
            f"it: {reason}",
        )
    return True, ()


def _sampling(pipeline: Any, options: ModelOptions, has_lora: bool) -> Sampling:
    found = _kind(pipeline, options, has_lora)
    return found.with_defaults(options.steps, options.guidance)


def _kind(pipeline: Any, options: ModelOptions, has_lora: bool) -> Sampling:
    """Return what the model is made for: told by its LoRA, parts or name."""
    name = (options.lora_id if has_lora else options.model_id).lower()
    if "lightning" in name:
        return sampling.LIGHTNING
    is_lcm = options.scheduler.lower().startswith("lcm")
    if has_lora or is_lcm or type(pipeline.scheduler).__name__ == "LCMScheduler":
        config = networks.denoiser(pipeline).config
        distilled = getattr(config, "time_cond_proj_dim", None) is not None
        return sampling.LCM_DISTILLED if distilled else sampling.LCM
    if "turbo" in name:
        return sampling.TURBO
    if options.model_id == TINY:
        from serve_app.diffusion import tiny

        return tiny.SAMPLING
    return sampling.USUAL


def _set_scheduler(pipeline: Any, options: ModelOptions, chosen: Sampling) -> None:
    if name := options.scheduler or chosen.scheduler:
        extra = {"timestep_spacing": "trailing"} if chosen.trailing else {}
        pipeline.scheduler = schedulers.by_name(name, pipeline.scheduler, **extra)


def _move(pipeline: Any, device: torch.device, options: ModelOptions) -> None:
    try:
        pipeline.to(device)
    except RuntimeError as err:
        if not devices.is_out_of_memory(err):
            raise
        raise ModelUnavailable(
            f"{device} has too little memory for the model. Use a smaller model, half "
            "precision or another device."
        ) from err


def _spare_memory(pipeline: Any, device: torch.device) -> tuple[str, ...]:
    """Decode images one by one, and on small devices in tiles; return what is on."""
    found = []
    vae: Any = getattr(pipeline, "vae", None)
    if hasattr(vae, "enable_slicing"):
        vae.enable_slicing()
        found.append("vae_slicing")
    if devices.is_small(device) and hasattr(vae, "enable_tiling"):
        vae.enable_tiling()
        found.append("vae_tiling")
    # Elsewhere attention needs no memory for its scores.
    if device.type == "mps" and hasattr(pipeline, "enable_attention_slicing"):
        pipeline.enable_attention_slicing()
        found.append("attention_slicing")
    return tuple(found)
