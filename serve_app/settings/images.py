"""The section of the system `images`."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from serve_app.settings.section import MIB, Section, either, split

# Any port: development servers of front ends choose theirs.
LOCAL_PAGES = ("http://localhost:*", "http://127.0.0.1:*")
_AUTO = "auto"
_DEFAULT_MODEL = "CompVis/stable-diffusion-v1-4"
_PRECISIONS = ("fp32", "fp16", "bf16")
_DEVICES = ("cuda", "mps", "cpu")
_TRUE = ("1", "true", "yes")


class ImagesSettings(Section):
    """The model of images, how it computes, and what requests may ask of it."""

    images_model: str = Field(
        default="",
        validation_alias=either(
            "STEMSERVE_IMAGES_MODEL", "IMAGES_MODEL", "SD_MODEL_ID"
        ),
        description="Model that makes images: an id of the Hugging Face hub, a "
        "directory, or `tiny`, which is for trying out. Images are made if it is set, "
        f"or if a Serve config names the system: then by `{_DEFAULT_MODEL}`.",
    )
    images_lora: str = Field(
        default="",
        validation_alias=either("STEMSERVE_IMAGES_LORA", "SD_LCM_LORA_ID"),
        description="LCM LoRA with which the model needs few steps: an id of the hub, "
        "or a directory. One that does not load is a warning.",
    )
    images_weights_dir: Path | None = Field(
        default=None,
        description="Directory with models in folders named as on the hub, such as "
        "`CompVis/stable-diffusion-v1-4`, which are loaded from there.",
    )
    images_count: int = Field(
        default=2,
        ge=1,
        validation_alias=either("STEMSERVE_IMAGES_COUNT", "SD_NUM_IMAGES"),
        description="Number of images of a request that names none.",
    )
    images_steps: int | None = Field(
        default=None,
        ge=1,
        le=150,
        validation_alias=either("STEMSERVE_IMAGES_STEPS", "SD_STEPS"),
        description="Steps of a request that names none. Default: those that suit the "
        "model.",
    )
    images_guidance: float | None = Field(
        default=None,
        ge=0,
        le=50,
        validation_alias=either("STEMSERVE_IMAGES_GUIDANCE", "SD_GUIDANCE"),
        description="Guidance scale of a request that names none. Default: that which "
        "suits the model.",
    )
    images_scheduler: str = Field(
        default="",
        validation_alias=either("STEMSERVE_IMAGES_SCHEDULER", "SD_SCHEDULER"),
        description="Scheduler, as in `euler`. Default: that which suits the model.",
    )
    images_precision: Literal["auto", "fp32", "fp16", "bf16"] = Field(
        default="auto",
        validation_alias=either("STEMSERVE_IMAGES_PRECISION", "SD_PRECISION"),
        description="`fp32`, `fp16` or `bf16`; anything else is `auto`: what suits the "
        "device.",
    )
    images_device: Literal["auto", "cuda", "mps", "cpu"] = Field(
        default="auto",
        validation_alias=either("STEMSERVE_IMAGES_DEVICE", "SD_DEVICE"),
        description="`cuda`, `mps` or `cpu`; anything else, or a device that is "
        "missing, is `auto`: the fastest there is.",
    )
    images_compile: bool = Field(
        default=False,
        validation_alias=either("STEMSERVE_IMAGES_COMPILE", "TORCH_COMPILE"),
        description="Compile the model: `1`, `true` or `yes`. The first images of each "
        "size then take minutes.",
    )
    images_threads: int = Field(
        default=0, ge=0, description="CPU threads of a replica; 0: one per core."
    )
    images_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        validation_alias=either("STEMSERVE_IMAGES_ORIGINS", "ALLOW_ORIGINS"),
        description="Origins of web pages that may use the routes of images, "
        "comma-separated. Those of http://localhost and http://127.0.0.1 always may, "
        "at any port.",
    )
    images_batch: int = Field(
        default=4, ge=1, description="Maximum number of images made at once."
    )
    images_queue: int = Field(
        default=8,
        ge=1,
        description="Maximum number of requests that wait or run on a replica; beyond "
        "it, 429.",
    )
    images_step_timeout_seconds: float = Field(
        default=600.0,
        gt=0,
        description="Maximum duration of a step, in seconds: a replica that takes "
        "longer hangs, and another one takes its place.",
    )
    images_max_prompt: int = Field(
        default=2000, ge=1, description="Maximum length of a prompt, in characters."
    )
    images_max_count: int = Field(
        default=4, ge=1, description="Maximum number of images of a request."
    )
    images_max_pixels: int = Field(
        default=4 * 1024**2,
        ge=64 * 64,
        description="Maximum number of pixels of all images that a request makes.",
    )
    images_max_inputs: int = Field(
        default=8, ge=1, description="Maximum number of images in `/refine`."
    )
    images_max_input_pixels: int = Field(
        default=4096 * 4096,
        ge=1,
        description="Maximum number of pixels of each image in `/refine`.",
    )
    images_max_body_mb: float = Field(
        default=32.0,
        gt=0,
        description="Maximum size of the body of `/refine`, in MiB.",
    )

    @field_validator("images_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: Any) -> Any:
        return split(value, ",")

    @field_validator("images_precision", mode="before")
    @classmethod
    def _known_precision(cls, value: Any) -> Any:
        return _known(value, _PRECISIONS)

    @field_validator("images_device", mode="before")
    @classmethod
    def _known_device(cls, value: Any) -> Any:
        return _known(value, _DEVICES)

    @field_validator("images_compile", mode="before")
    @classmethod
    def _is_true(cls, value: Any) -> Any:
        return value.lower() in _TRUE if isinstance(value, str) else value

    @property
    def images_model_id(self) -> str:
        """The model that is loaded."""
        return self.images_model or _DEFAULT_MODEL

    @property
    def images_cors_origins(self) -> tuple[str, ...]:
        """The origins of pages that may use the routes of images."""
        return (*self.images_origins, *LOCAL_PAGES)

    @property
    def images_max_body_bytes(self) -> int:
        """The maximum size of the body of `/refine`."""
        return int(self.images_max_body_mb * MIB)


def _known(value: Any, allowed: tuple[str, ...]) -> Any:
    """Return a known name in lower case, or `auto`: other names are no errors."""
    if not isinstance(value, str):
        return value
    return value.lower() if value.lower() in allowed else _AUTO
