"""Schedulers by name."""

from typing import Any

import diffusers

from serve_app.errors import InvalidInput

_KARRAS = {"use_karras_sigmas": True}
# Clipping is for pixels; latents go beyond [-1, 1].
_UNCLIPPED = {"clip_sample": False}
# Names that people use, the classes, and options of theirs.
_NAMES: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", _UNCLIPPED),
    "ddpm": ("DDPMScheduler", _UNCLIPPED),
    "deis": ("DEISMultistepScheduler", {}),
    "dpm++": ("DPMSolverMultistepScheduler", {}),
    "dpm++ karras": ("DPMSolverMultistepScheduler", _KARRAS),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler a": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "lcm": ("LCMScheduler", {}),
    "lms": ("LMSDiscreteScheduler", {}),
    "pndm": ("PNDMScheduler", {}),
    "unipc": ("UniPCMultistepScheduler", {}),
}
_CLASSES: dict[str, tuple[str, dict[str, Any]]] = {
    name.lower(): (name, extra)
    for name, extra in _NAMES.values()
    if extra is not _KARRAS
}


def by_name(name: str, current: Any, **options: Any) -> Any:
    """Return the scheduler called `name`, configured as the `current` one.

    Names are short (`euler a`, `dpm++`) or those of diffusers' classes; case and
    underscores don't matter. Raises InvalidInput for names that are unknown.
    """
    plain = name.strip().lower().replace("_", " ").replace("-", " ")
    found = _NAMES.get(plain) or _CLASSES.get(plain)
    if found is None:
        raise InvalidInput(
            f"There is no scheduler {name!r}. Use one of: {', '.join(sorted(_NAMES))}."
        )
    class_name, extra = found
    if "FlowMatch" in type(current).__name__:
        raise InvalidInput(
            f"This model works with {type(current).__name__} only, not with {name!r}. "
            "Leave the scheduler unset."
        )
    kind = getattr(diffusers, class_name)
    return kind.from_config(current.config, **extra, **options)
