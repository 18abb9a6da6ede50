"""Pictures of clients as arrays, and arrays as PNG files."""

import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from serve_app.errors import BadRequest, InvalidInput

# 8-bit RGB, (height, width, 3).
Pixels = NDArray[np.uint8]

FORMATS = ("PNG", "JPEG", "WEBP")
_WHITE = (255, 255, 255, 255)
# What Pillow raises for broken files.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)
# Sizes are checked here, against a lower limit than Pillow's, which warns only.
Image.MAX_IMAGE_PIXELS = None


def read(data: bytes, max_pixels: int) -> Pixels:
    """Return a PNG, JPEG or WebP picture, upright and without transparency.

    Transparent parts become white; of several frames, the first one counts. A picture
    of more than `max_pixels` is refused before it is decoded. Raises BadRequest if the
    data is no picture, and InvalidInput if it is too large.
    """
    with _broken_as_bad_request(), Image.open(BytesIO(data), formats=FORMATS) as image:
        _check_size(image.size, max_pixels)
        image.load()
        upright = _upright(image)
        return np.asarray(_flat(upright))


def fitted(pixels: Pixels, width: int, height: int) -> Pixels:
    """Return a picture scaled to cover `width` x `height`, cut evenly at its edges."""
    if pixels.shape[:2] == (height, width):
        return pixels
    image = Image.fromarray(pixels)
    return np.asarray(ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS))


def png(pixels: Pixels, texts: Mapping[str, str]) -> bytes:
    """Return a PNG file with iTXt chunks: `texts` by their keywords."""
    chunks = PngInfo()
    for keyword, text in texts.items():
        chunks.add_itxt(keyword, text)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG", pnginfo=chunks)
    return file.getvalue()


@contextmanager
def _broken_as_bad_request() -> Iterator[None]:
    try:
        yield
    except _BROKEN as err:
        raise BadRequest(
            "An image can't be read: it must be the base64 of a whole PNG, JPEG or "
            "WebP file."
        ) from err


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise InvalidInput(
            f"An image must have at most {max_pixels} pixels, got {width} x {height}. "
            "Send a smaller one."
        )


def _upright(image: Image.Image) -> Image.Image:
    """Return an image turned as its EXIF data says; broken data says nothing."""
    with suppress(*_BROKEN):
        if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
            return ImageOps.exif_transpose(image)
    return image


def _flat(image: Image.Image) -> Image.Image:
    """Return an image as 8-bit RGB on white."""
    if image.mode.startswith("I"):
        # 16 bits of grey, of which Pillow would cut off the upper ones.
        grey = np.asarray(image).astype(np.uint32) >> 8
        image = Image.fromarray(grey.clip(0, 255).astype(np.uint8))
    if not image.has_transparency_data:
        return image.convert("RGB")
    shown = image.convert("RGBA")
    page = Image.new("RGBA", shown.size, _WHITE)
    page.alpha_composite(shown)
    return page.convert("RGB")
