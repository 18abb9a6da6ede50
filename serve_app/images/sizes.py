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

    Each side is at least 64, so extreme ratios become less extreme.
    """
    scale = min(1.0, math.sqrt(max_pixels / (width * height)))
    longest = max_pixels // _LEAST_PIXELS
    return _near(width * scale, longest), _near(height * scale, longest)


def _near(length: float, longest: int) -> int:
    steps = min(max(length, _LEAST_PIXELS), longest) / STEP_PIXELS
    # The tolerance is for lengths that scaling made a little too short.
    return int(steps + 1e-6) * STEP_PIXELS
