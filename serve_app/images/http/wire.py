"""The shapes of requests and answers, for /docs; unknown fields are ignored."""

from typing import Any, Literal

from pydantic import Field

from serve_app.api.wire import Wire
from serve_app.images.sizes import BY_RATIO


class Images(Wire):
    """Finished images, and what was really used to make them."""

    images: list[str] = Field(description="PNG files as base64.")
    seeds: list[int] = Field(description="Of each image; with it, it is made again.")
    model: str
    licence: str = Field(description="The licence of the model.")
    steps: int
    guidanceScale: float
    scheduler: str
    warnings: list[str] = Field(
        description="What the model did not do as it was asked to."
    )


class Benchmark(Wire):
    """How long an image took, or why there is none."""

    benchmark: Literal["completed", "failed"]
    device: str
    prompt: str | None = None
    generation_time_seconds: float | None = None
    steps: int | None = None
    guidance_scale: float | None = None
    images_generated: int | None = None
    performance_rating: str | None = None
    error: str | None = None


_OPTIONS: dict[str, Any] = {
    "n": {"type": "integer", "minimum": 1},
    "seed": {"type": "integer", "minimum": 0},
    "steps": {"type": "integer", "minimum": 1, "maximum": 150},
    "guidanceScale": {"type": "number", "minimum": 0, "maximum": 50},
    "negativePrompt": {"type": "string"},
}


def _body(
    required: list[str], properties: dict[str, Any], example: dict[str, Any]
) -> dict[str, Any]:
    schema = {"type": "object", "required": required, "properties": properties}
    content = {"application/json": {"schema": schema, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


GENERATE = _body(
    ["prompt", "aspectRatio"],
    {
        "prompt": {"type": "string"},
        "aspectRatio": {"type": "string", "enum": list(BY_RATIO)},
        "resolution": {"type": "string", "enum": ["standard", "high"]},
        "temperature": {"type": "number", "description": "Ignored."},
        **_OPTIONS,
        "config": {"type": "object", "properties": _OPTIONS},
    },
    {"prompt": "a lighthouse at dusk, oil on canvas", "aspectRatio": "3:4", "seed": 7},
)
_OF_IMAGES: dict[str, Any] = {
    **_OPTIONS,
    "strength": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
}
REFINE = _body(
    ["refinePrompt", "images"],
    {
        "refinePrompt": {"type": "string"},
        "images": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "string",
                "description": "PNG, JPEG or WebP as base64, also as a data URL.",
            },
        },
        **_OF_IMAGES,
        "config": {"type": "object", "properties": _OF_IMAGES},
    },
    {"refinePrompt": "the same in snow", "images": ["iVBORw0KGgo…"]},
)
