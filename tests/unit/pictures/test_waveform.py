"""Pictures of waveforms, checked pixel by pixel."""

from io import BytesIO
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageColor

from serve_app.errors import InvalidInput
from serve_app.pictures import waveform
from serve_app.pictures.waveform import DEFAULT_COLOURS, Colours, draw, folded

WIDTH, HEIGHT = 200, 100


def mono(highs: list[float], lows: list[float] | None = None) -> NDArray[np.float32]:
    lows = lows or [-high for high in highs]
    return np.array([lows, highs], np.float32).T[:, None, :]


def bands(*rows: tuple[float, float, float]) -> NDArray[np.float32]:
    heights = np.array(rows, np.float32)
    return np.stack([-heights, heights], axis=2)


def image(values: NDArray[np.float32], **options: Any) -> NDArray[np.uint8]:
    """Return the picture's colours (height, width, 3)."""
    drawn = draw(values, "png", WIDTH, HEIGHT, **options)
    opened = Image.open(BytesIO(drawn))
    assert (opened.format, opened.size) == ("PNG", (WIDTH, HEIGHT))
    return np.asarray(opened.convert("RGB"))


def heights(picture: NDArray[np.uint8], colour: str) -> NDArray[np.int_]:
    """Return how many pixels of each column have a colour."""
    wanted: NDArray[np.bool_] = (picture == ImageColor.getrgb(colour)).all(axis=2)
    return wanted.sum(axis=0)


def test_each_part_of_a_song_is_as_high_as_it_is_loud() -> None:
    found = heights(image(mono([0.25, 0.5, 1.0, 0.5])), DEFAULT_COLOURS.mono)
    np.testing.assert_allclose(found[25::50], [24, 48, 96, 48], atol=2)
    # Also where the parts begin.
    assert found[98] < found[101]


def test_the_lowest_and_the_highest_samples_have_their_own_sides() -> None:
    picture = image(mono([0.5], [-0.1]))
    is_wave = (picture == ImageColor.getrgb(DEFAULT_COLOURS.mono)).all(axis=2)[:, 7]
    assert is_wave[: HEIGHT // 2].sum() == pytest.approx(48, abs=1)
    assert is_wave[HEIGHT // 2 :].sum() == pytest.approx(9.6, abs=1)


def test_bands_are_stacked_from_low_in_the_middle_to_high_outside() -> None:
    column = image(bands((0.5, 0.5, 0.5)))[:, WIDTH // 2]
    colours = [tuple(map(int, column[y])) for y in range(HEIGHT // 2, HEIGHT)]
    wanted = [
        ImageColor.getrgb(colour)
        for colour in (
            DEFAULT_COLOURS.low,
            DEFAULT_COLOURS.mid,
            DEFAULT_COLOURS.high,
            DEFAULT_COLOURS.background,
        )
    ]
    pure = [colour for colour in colours if colour in wanted]
    assert list(dict.fromkeys(pure)) == wanted
    assert len(pure) >= len(colours) - 3


@pytest.mark.parametrize("band", [0, 1, 2])
def test_a_band_alone_is_drawn_in_its_colour_alone(band: int) -> None:
    levels = [0.0, 0.0, 0.0]
    levels[band] = 0.3
    picture = image(bands((levels[0], levels[1], levels[2])))
    for name, colour in enumerate(
        (DEFAULT_COLOURS.low, DEFAULT_COLOURS.mid, DEFAULT_COLOURS.high)
    ):
        # Silent bands are no higher than a line.
        assert (heights(picture, colour).max() > 50) == (name == band)


def test_silence_is_a_line_and_noise_near_it_is_not_magnified() -> None:
    for silent in (mono([0.0]), bands((0, 0, 0)), mono([0.0001]), mono([])):
        picture = image(silent)
        is_empty = (picture == ImageColor.getrgb(DEFAULT_COLOURS.background)).all(2)
        rows = np.flatnonzero(~is_empty.all(axis=1))
        assert set(rows) <= {HEIGHT // 2 - 1, HEIGHT // 2}
        assert len(rows)


def test_no_peak_is_lost_between_columns() -> None:
    highs = [0.1] * 12_345
    for place in (0, 777, 12_344):
        highs[place] = 1.0
    found = heights(image(mono(highs)), DEFAULT_COLOURS.mono)
    assert set(np.flatnonzero(found > 80)) == {0, 12, 199}


@pytest.mark.parametrize("count", [1, 2, 3, 199, 200, 201, 1_000])
def test_columns_have_the_extremes_of_all_that_they_touch(count: int) -> None:
    values = np.random.default_rng(count).standard_normal(count)
    found = folded(np.maximum, values, 200)
    for column in (0, 1, 66, 100, 199):
        first, last = column * count // 200, -(-(column + 1) * count // 200)
        assert found[column] == values[first:last].max()


def test_svg_shows_the_same_outline_as_png() -> None:
    values = mono([0.25, 0.5, 1.0, 0.5])
    root = ElementTree.fromstring(draw(values, "svg", WIDTH, HEIGHT))  # noqa: S314
    assert root.get("viewBox") == f"0 0 {WIDTH} {HEIGHT}"
    path = root.find("{http://www.w3.org/2000/svg}path")
    assert path is not None
    outline = path.get("d", "")
    tops = [float(step.split("h")[0]) for step in outline.split("V")[1 : WIDTH + 1]]
    below = [step.split("h")[0] for step in outline.split("V")[WIDTH + 1 :]]
    found = np.array([float(y) for y in below[::-1]]) - tops
    pixels = heights(image(values), DEFAULT_COLOURS.mono)
    np.testing.assert_allclose(found, pixels, atol=2)


def test_colours_are_those_that_are_asked_for() -> None:
    picture = image(mono([0.5, 0.1]), colours=Colours("#ffffff", mono="#00ff00"))
    assert tuple(picture[HEIGHT // 2, 10]) == (0, 255, 0)
    assert tuple(picture[0, -1]) == (255, 255, 255)


@pytest.mark.parametrize("colour", ["red", "#fff", "#12345g", "#1234567", '"/><a '])
def test_other_colours_are_refused(colour: str) -> None:
    with pytest.raises(InvalidInput, match='"low" must be a colour such as "#1f77b4"'):
        Colours(low=colour)


@pytest.mark.parametrize(
    ("form", "width", "height", "says"),
    [
        ("png", 15, 100, '"width" must be from 16 to 4096 pixels, got 15'),
        ("png", 4_097, 100, '"width" must be'),
        ("svg", 100, 15, '"height" must be from 16 to 2160'),
        ("svg", 100, 2_161, '"height" must be'),
        ("gif", 100, 100, '"format" must be "png" or "svg", got "gif"'),
    ],
)
def test_other_sizes_and_forms_are_refused(
    form: str, width: int, height: int, says: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        draw(mono([0.5]), form, width, height)
    assert says in refused.value.detail


def test_the_smallest_and_the_largest_pictures_are_drawn() -> None:
    for form in ("png", "svg"):
        assert draw(bands((0.1, 0.2, 0.3)), form, *waveform.SMALLEST)
        assert draw(mono([0.5]), form, 4_096, 64)
