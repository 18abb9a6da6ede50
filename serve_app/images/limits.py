"""What a request may ask of the model."""

from dataclasses import dataclass

from serve_app.settings import Settings

# As the panels of clients allow, and no longer than a person waits.
MAX_STEPS = 150
MAX_GUIDANCE = 50.0
# Whole numbers that JSON of every client keeps.
SEEDS = 2**53


@dataclass(frozen=True)
class Limits:
    """Limits of a request, and the number of images of one that names none.

    `max_pixels` are those of all images that it makes, `max_input_pixels` those of each
    image that it sends.
    """

    count: int = 2
    max_count: int = 4
    max_prompt: int = 2000
    max_pixels: int = 4 * 1024**2
    max_inputs: int = 8
    max_input_pixels: int = 4096 * 4096
    max_body_bytes: int = 32 * 1024**2


def configured(settings: Settings) -> Limits:
    """Return the limits of the settings."""
    return Limits(
        count=settings.images_count,
        max_count=settings.images_max_count,
        max_prompt=settings.images_max_prompt,
        max_pixels=settings.images_max_pixels,
        max_inputs=settings.images_max_inputs,
        max_input_pixels=settings.images_max_input_pixels,
        max_body_bytes=settings.images_max_body_bytes,
    )
