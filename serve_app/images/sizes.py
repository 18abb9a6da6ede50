"""The sizes of images, in pixels; both sides are multiples of 8, as models need."""

import math

from serve_app.errors import InvalidField

STEP_PIXELS = 8
_HIGH = "high"
# Of each ratio: width and height in standard and in high resolution.
_UPRIGHT = {
    "9:16": ((512, 896), (576, 1024)),
    "3:4": ((576, 768), (768, 1024)),
    "2:3": ((512, 768), (680, 1024)),
    "4:5": ((512, 640), (816, 1024)),
}
_SQUARE = ((640, 640), (1024, 1024))
_WIDE = {
    ":".join(reversed(ratio.split(":"))): (standard[::-1], high[::-1])
    for ratio, (standard, high) in _UPRIGHT.items()
}
BY_RATIO = {
    "1:1": _SQUARE,
    "Auto": _SQUARE,
    **_UPRIGHT,
    **_WIDE,
    "21:9": ((960, 416), (1024, 432)),
}
_LEAST_PIXELS = 64


def of_ratio(ratio: object, resolution: object) -> tuple[int, int]:
    """Return width and height; any resolution but `high` is the standard one.

    Raises InvalidField for an unknown ratio.
    """
    if not isinstance(ratio, str) or ratio not in BY_RATIO:
        raise InvalidField(
            f"`aspectRatio` must be one of {', '.join(BY_RATIO)}.", "aspectRatio"
        )
    standard, high = BY_RATIO[ratio]
    return high if resolution == _HIGH else standard


def near(width: int, height: int, max_pixels: int) -> tuple[int, int]:
    """Return the size of an image, scaled down to `max_pixels` if it is larger.

    Each side is the nearest multiple of 8, or the one below where there is no room, and
    at least 64, so extreme ratios become less extreme.
    """
    scale = min(1.0, math.sqrt(max_pixels / (width * height)))
    longest = max_pixels // _LEAST_PIXELS
    sides = [
        min(max(length * scale, _LEAST_PIXELS), longest) / STEP_PIXELS
        for length in (width, height)
    ]
    nearest = [round(side) * STEP_PIXELS for side in sides]
    if math.prod(nearest) <= max_pixels:
        return nearest[0], nearest[1]
    # The tolerance is for lengths that scaling made a little too short.
    below = [int(side + 1e-6) * STEP_PIXELS for side in sides]
    return below[0], below[1]
