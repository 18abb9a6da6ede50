"""Requests of clients, old and new, as requests to the model."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import replace

from serve_app.diffusion.port import ImageRequest, Pixels
from serve_app.errors import BadRequest, InvalidField
from serve_app.images import sizes
from serve_app.images.fields import Fields, parsed
from serve_app.images.limits import MAX_GUIDANCE, MAX_STEPS, SEEDS, Limits
from serve_app.pictures import pixels

# Returns a whole number from 0 to below its argument.
RandomBelow = Callable[[int], int]

_RATIO = ("aspectRatio", "aspect_ratio", "aspectratio")
_IN_CONFIG = ("n", "seed", "steps", "guidanceScale", "negativePrompt", "strength")
_DEFAULT_STRENGTH = 0.6
_RANDOM_SEEDS = 2**32
_URL_SAFE = str.maketrans("-_", "+/")
# Images in /refine are made no larger than the largest ones of /generate.
_LARGEST_PIXELS = 1024 * 1024


def generation(body: bytes, limits: Limits, random: RandomBelow) -> ImageRequest:
    """Return what the body of /generate asks for. Raises InvalidInput."""
    fields = Fields(parsed(body), _IN_CONFIG)
    prompt = fields.text("prompt", longest=limits.max_prompt)
    ratio = fields.find(*_RATIO)
    size = sizes.of_ratio(ratio, fields.find("resolution"))
    return _request(fields, prompt, size, limits, random)


def refinement(body: bytes, limits: Limits, random: RandomBelow) -> ImageRequest:
    """Return what the body of /refine asks for: images as large as the first one sent.

    Raises InvalidInput, and BadRequest for what is no image.
    """
    fields = Fields(parsed(body), _IN_CONFIG)
    prompt = fields.text("refinePrompt", "prompt", longest=limits.max_prompt)
    encoded = fields.texts("images", "baseImages", most=limits.max_inputs)
    strength = _strength(fields)
    most = min(_LARGEST_PIXELS, limits.max_pixels // _count(fields, limits))
    images = _decoded(encoded, limits.max_input_pixels, most)
    height, width, _ = images[0].shape
    request = _request(fields, prompt, (width, height), limits, random)
    return replace(request, images=images, strength=strength)


def _request(
    fields: Fields,
    prompt: str,
    size: tuple[int, int],
    limits: Limits,
    random: RandomBelow,
) -> ImageRequest:
    width, height = size
    count = _count(fields, limits)
    if count * width * height > limits.max_pixels:
        raise InvalidField(
            f"{count} images of {width} x {height} have more than the "
            f"{limits.max_pixels} pixels of a request. Ask for fewer with `n`, or for "
            "smaller ones.",
            "n",
        )
    first = fields.whole("seed", 0, SEEDS - 1)
    seed = random(_RANDOM_SEEDS) if first is None else first
    return ImageRequest(
        prompt,
        width,
        height,
        seeds=tuple((seed + number) % SEEDS for number in range(count)),
        negative_prompt=fields.optional_text("negativePrompt", limits.max_prompt),
        steps=fields.whole("steps", 1, MAX_STEPS),
        guidance=fields.number("guidanceScale", 0, MAX_GUIDANCE),
    )


def _count(fields: Fields, limits: Limits) -> int:
    count = fields.whole("n", 1, limits.max_count)
    return limits.count if count is None else count


def _strength(fields: Fields) -> float:
    found = fields.number("strength", 0, 1)
    if found == 0:
        raise InvalidField("`strength` must be more than 0 and at most 1.", "strength")
    return _DEFAULT_STRENGTH if found is None else found


def _decoded(
    encoded: Sequence[str], max_input_pixels: int, max_pixels: int
) -> tuple[Pixels, ...]:
    """Return images, fitted to the size of the first; one at a time, for the memory."""
    found: list[Pixels] = []
    size: tuple[int, int] | None = None
    for text in encoded:
        image = pixels.read(_bytes(text), max_input_pixels)
        if size is None:
            height, width, _ = image.shape
            size = sizes.near(width, height, max_pixels)
        found.append(pixels.fitted(image, *size))
    return tuple(found)


def _bytes(text: str) -> bytes:
    """Return what base64 stands for, with or without the prefix of a data URL."""
    if text[:5].lower() == "data:":
        text = text.partition(",")[2]
    # Some write it without padding, or in the alphabet for URLs (RFC 4648, 5).
    text = "".join(text.split()).rstrip("=").translate(_URL_SAFE)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as err:
        raise BadRequest(
            "An image must be valid base64, with or without the prefix of a data URL."
        ) from err
