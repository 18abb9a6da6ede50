"""Pictures of waveforms."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from serve_app.pictures.canvas import Canvas, canvas, check_colour

Values = NDArray[np.float32]
Vector = NDArray[np.float64]

SMALLEST = (16, 16)
DEFAULT_WIDTH, DEFAULT_HEIGHT = 1_200, 200
# Quieter songs are not magnified further, so that silence stays a line.
_QUIETEST_PEAK = 0.05
_MARGIN = 0.04
# High frequencies have less energy than their loudness suggests.
_BAND_GAINS = np.array([1.0, 1.3, 2.2])


@dataclass(frozen=True)
class Colours:
    """The colours of a waveform, as `#rrggbb`. Raises InvalidInput for others."""

    background: str = "#14171f"
    mono: str = "#4c8dff"
    low: str = "#2f6bff"
    mid: str = "#ff9a3c"
    high: str = "#fff3d6"

    def __post_init__(self) -> None:
        for field in fields(self):
            check_colour(field.name, getattr(self, field.name))


@dataclass(frozen=True)
class Box:
    """A rectangle within a picture, in pixels from its top left."""

    x: int
    y: int
    width: int
    height: int


DEFAULT_COLOURS = Colours()


def draw(
    values: Values,
    form: str = "png",
    width: int = DEFAULT_WIDTH,
    height: int = DEFAULT_HEIGHT,
    colours: Colours = DEFAULT_COLOURS,
) -> bytes:
    """Return a waveform (n, channels, 2) of minima and maxima as PNG or SVG.

    The loudest peak fills the height. Three channels are bands, stacked from the middle
    outwards: low, mid, high. Raises InvalidInput for an invalid format or size.
    """
    picture = canvas(form, width, height, SMALLEST, colours.background)
    fill(picture, Box(0, 0, width, height), values, colours)
    return picture.finish()


def fill(picture: Canvas, box: Box, values: Values, colours: Colours) -> None:
    """Draw a waveform into a rectangle of a picture."""
    middle = box.y + box.height / 2
    half = box.height / 2 * (1 - _MARGIN)
    if values.shape[1] == 1:
        lows = folded(np.minimum, values[:, 0, 0].astype(np.float64), box.width)
        highs = folded(np.maximum, values[:, 0, 1].astype(np.float64), box.width)
        scale = half / max(-lows.min(), highs.max(), _QUIETEST_PEAK)
        # Columns are at least one pixel high.
        tops = np.minimum(middle - highs * scale, middle - 0.5)
        bottoms = np.maximum(middle - lows * scale, middle + 0.5)
        picture.columns(box.x, tops, bottoms, colours.mono)
        return
    bands = [
        folded(np.maximum, values[:, band, 1].astype(np.float64), box.width)
        for band in range(values.shape[1])
    ]
    outlines = np.cumsum(np.stack(bands) * _BAND_GAINS[:, None], axis=0)
    scale = half / max(float(outlines.max()), _QUIETEST_PEAK)
    heights = np.maximum(outlines * scale, 0.5)
    for outline, colour in zip(
        heights[::-1], (colours.high, colours.mid, colours.low), strict=True
    ):
        picture.columns(box.x, middle - outline, middle + outline, colour)


def folded(fold: np.ufunc, values: Vector, width: int) -> Vector:
    """Return `width` columns: the extreme of several values, or one value repeated."""
    if not len(values):
        return np.zeros(width)
    edges = np.arange(width + 1) * len(values) / width
    starts = np.floor(edges[:-1]).astype(np.intp)
    ends = np.maximum(np.ceil(edges[1:]).astype(np.intp), starts + 1)
    pairs = np.stack([starts, ends], axis=1).ravel()
    # reduceat returns each pair's values folded, then an entry to drop.
    columns: Vector = fold.reduceat(np.append(values, values[-1]), pairs)[::2]
    return columns
