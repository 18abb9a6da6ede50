"""PNG pictures."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from serve_app.pictures import fonts

_ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}


class PngCanvas:
    """A canvas that produces a PNG file."""

    def __init__(self, width: int, height: int, background: str) -> None:
        self._image = Image.new("RGB", (width, height), background)
        self._draw = ImageDraw.Draw(self._image)

    def rectangle(
        self, x: float, y: float, width: float, height: float, colour: str
    ) -> None:
        # Pillow's rectangles include their last row and column.
        left, top = round(x), round(y)
        right, bottom = round(x + width) - 1, round(y + height) - 1
        if right >= left and bottom >= top:
            self._draw.rectangle((left, top, right, bottom), colour)

    def columns(
        self,
        x: int,
        tops: NDArray[np.float64],
        bottoms: NDArray[np.float64],
        colour: str,
    ) -> None:
        if not len(tops):
            return
        first = max(int(np.floor(tops.min())), 0)
        last = min(int(np.ceil(bottoms.max())), self._image.height)
        rows = np.arange(first, last, dtype=np.float32)[:, None]
        # Anti-aliased: the pixels at a column's ends are blended by their coverage.
        covered = np.minimum(bottoms.astype(np.float32), rows + 1)
        covered -= np.maximum(tops.astype(np.float32), rows)
        mask = np.rint(covered.clip(0, 1) * 255).astype(np.uint8)
        if mask.size:
            self._image.paste(colour, (x, first), Image.fromarray(mask))

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float,
        colour: str,
        anchor: str = "start",
        most_width: float = float("inf"),
    ) -> None:
        font, drawable = fonts.drawable(text, size)
        fitting = fonts.shortened(drawable, most_width, font.getlength)
        if fitting:
            self._draw.text(
                (x, y), fitting, fill=colour, font=font, anchor=_ANCHORS[anchor]
            )

    def finish(self) -> bytes:
        file = BytesIO()
        self._image.save(file, "PNG")
        return file.getvalue()
