"""The canvas that pictures are drawn on, and its limits of size."""

import re
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from serve_app.errors import InvalidInput
from serve_app.pictures.png import PngCanvas
from serve_app.pictures.svg import SvgCanvas

Vector = NDArray[np.float64]
Form = Literal["png", "svg"]
Anchor = Literal["start", "middle", "end"]

MEDIA_TYPES: dict[Form, str] = {"png": "image/png", "svg": "image/svg+xml"}
# A bitmap of this size takes 27 MB.
WIDEST, HIGHEST = 4_096, 2_160

_COLOUR = re.compile("#[0-9a-fA-F]{6}")


class Canvas(Protocol):
    """A drawing surface. Lengths are pixels from the top left, colours `#rrggbb`."""

    def rectangle(
        self, x: float, y: float, width: float, height: float, colour: str
    ) -> None:
        """Fill a rectangle."""

    def columns(self, x: int, tops: Vector, bottoms: Vector, colour: str) -> None:
        """Fill columns of one pixel each from `x` on, from `tops` to `bottoms` (n)."""

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float,
        colour: str,
        anchor: Anchor = "start",
        most_width: float = float("inf"),
    ) -> None:
        """Write a line of text on the baseline `y`, shortened to `most_width`."""

    def finish(self) -> bytes:
        """Return the finished file."""


def canvas(
    form: str, width: int, height: int, smallest: tuple[int, int], background: str
) -> Canvas:
    """Return an empty canvas. Raises InvalidInput for an invalid format or size."""
    for name, length, least, most in (
        ("width", width, smallest[0], WIDEST),
        ("height", height, smallest[1], HIGHEST),
    ):
        if not least <= length <= most:
            raise InvalidInput(
                f'"{name}" must be from {least} to {most} pixels, got {length}.'
            )
    if form == "png":
        return PngCanvas(width, height, background)
    if form == "svg":
        return SvgCanvas(width, height, background)
    raise InvalidInput(f'"format" must be "png" or "svg", got "{form}".')


def check_colour(name: str, colour: str) -> None:
    """Raise InvalidInput unless a colour has the form `#1f77b4`."""
    if not _COLOUR.fullmatch(colour):
        raise InvalidInput(
            f'"{name}" must be a colour such as "#1f77b4", got "{colour[:20]}".'
        )
