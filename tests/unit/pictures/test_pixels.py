"""Pictures of clients: upright, without transparency, and never larger than allowed."""

import base64
import resource
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from serve_app.errors import BadRequest, InvalidInput
from serve_app.pictures import pixels
from tests.images import file

MOST = 64 * 64
RED, BLUE = (255, 0, 0), (0, 0, 255)
# A WebP file of 16383 x 16383 pixels of one colour.
WEBP_BOMB = base64.b64decode("UklGRhoAAABXRUJQVlA4TA4AAAAv/r//DwcQEf0PRET/Aw==")


def halves() -> Image.Image:
    """Return a picture of 32 x 16 with a red left half and a blue right half."""
    image = Image.new("RGB", (32, 16), RED)
    image.paste(BLUE, (16, 0, 32, 16))
    return image


def png_bomb(width: int, height: int) -> bytes:
    """Return a PNG whose header says a size; its data is short."""
    data = bytearray(file(Image.new("L", (1, 1))))
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize(
    ("form", "options"), [("PNG", {}), ("WEBP", {"lossless": True}), ("JPEG", {})]
)
def test_each_format_is_read(form: str, options: dict[str, bool]) -> None:
    found = pixels.read(file(halves(), form, **options), MOST)
    assert (found.shape, found.dtype) == ((16, 32, 3), np.uint8)
    # JPEG loses a little.
    assert np.abs(found[8, 2].astype(int) - RED).max() <= 2
    assert np.abs(found[8, 29].astype(int) - BLUE).max() <= 2


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF", "PPM"])
def test_other_formats_are_no_images(form: str) -> None:
    with pytest.raises(BadRequest, match="PNG, JPEG or WebP"):
        pixels.read(file(halves(), form), MOST)


WHOLE = file(Image.effect_noise((32, 16), 90))


@pytest.mark.parametrize("data", [b"", b"abc", WHOLE[:40], WHOLE[:-40], b"RIFF" * 9])
def test_what_is_broken_is_no_image(data: bytes) -> None:
    with pytest.raises(BadRequest, match="whole PNG, JPEG or WebP"):
        pixels.read(data, MOST)


@pytest.mark.parametrize(
    "data", [png_bomb(60_000, 60_000), WEBP_BOMB, file(Image.new("1", (65, 64)))]
)
def test_too_many_pixels_are_refused_before_they_are_decoded(data: bytes) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InvalidInput, match=r"at most 4096 pixels, got \d+ x \d+"):
        pixels.read(data, MOST)
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    # Decoded, the two bombs would take more than a gigabyte.
    assert grown_kib < 100 * 1024


def test_a_bomb_of_a_header_can_be_opened_by_pillow() -> None:
    """Else the test above would hold without a check of sizes."""
    for data in (png_bomb(60_000, 60_000), WEBP_BOMB):
        with Image.open(BytesIO(data)) as image:
            assert image.size[0] * image.size[1] > 200e6


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_picture_is_turned_as_its_exif_data_says(form: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # To be turned by a quarter, clockwise.
    found = pixels.read(file(halves(), form, exif=exif), MOST)
    assert found.shape == (32, 16, 3)
    assert found[2, 8, 0] > 200 > 50 > found[2, 8, 2]
    assert found[29, 8, 2] > 200 > 50 > found[29, 8, 0]


@pytest.mark.filterwarnings("ignore:.*EXIF")
def test_broken_exif_data_does_not_matter() -> None:
    data = file(halves(), "PNG", exif=b"Exif\0\0II*\0garbage")
    assert pixels.read(data, MOST).shape == (16, 32, 3)


def transparent() -> dict[str, Image.Image]:
    """Return pictures whose only pixels are transparent black."""
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([0, 0, 0, 255, 255, 255])
    palette.info["transparency"] = 0
    return {
        "RGBA": Image.new("RGBA", (4, 4), (0, 0, 0, 0)),
        "LA": Image.new("LA", (4, 4), (0, 0)),
        "P": palette,
    }


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_becomes_white(mode: str) -> None:
    found = pixels.read(file(transparent()[mode]), MOST)
    assert (found == 255).all()


def test_half_transparent_colours_are_mixed_with_white() -> None:
    found = pixels.read(file(Image.new("RGBA", (4, 4), (255, 0, 0, 128))), MOST)
    assert found[0, 0].tolist() == [255, 127, 127]


def test_16_bits_of_grey_keep_their_brightness() -> None:
    grey = np.full((4, 4), 0x8000, np.uint16)
    found = pixels.read(file(Image.fromarray(grey)), MOST)
    assert found[0, 0].tolist() == [128, 128, 128]


def test_a_picture_is_fitted_without_distortion() -> None:
    found = pixels.fitted(np.asarray(halves()), 8, 8)
    assert found.shape == (8, 8, 3)
    # The middle square of the picture: its halves meet in the middle.
    assert found[4, 0].tolist() == list(RED)
    assert found[4, 7].tolist() == list(BLUE)


def test_a_picture_of_the_right_size_is_not_touched() -> None:
    image = np.asarray(halves())
    assert pixels.fitted(image, 32, 16) is image


def test_a_file_has_its_pixels_and_texts_and_is_the_same_again() -> None:
    image, texts = np.asarray(halves()), {"model": "größer 大", "seed": "7"}
    data = pixels.png(image, texts)
    with Image.open(BytesIO(data)) as found:
        assert found.format == "PNG"
        assert (np.asarray(found) == image).all()
        assert found.info["model"] == "größer 大"
    assert data.count(b"iTXt") == 2
    assert pixels.png(image, texts) == data
