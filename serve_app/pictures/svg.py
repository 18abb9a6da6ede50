"""SVG pictures."""

import re
import unicodedata
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from serve_app.pictures import fonts

_SPACE = "{http://www.w3.org/XML/1998/namespace}space"
# https://www.w3.org/TR/xml/#charsets
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class SvgCanvas:
    """A canvas that produces an SVG file."""

    def __init__(self, width: int, height: int, background: str) -> None:
        self._root = ElementTree.Element(
            "svg",
            {
                "xmlns": "http://www.w3.org/2000/svg",
                "width": str(width),
                "height": str(height),
                "viewBox": f"0 0 {width} {height}",
                "font-family": "Helvetica, Arial, sans-serif",
            },
        )
        self.rectangle(0, 0, width, height, background)

    def rectangle(
        self, x: float, y: float, width: float, height: float, colour: str
    ) -> None:
        lengths = {"x": x, "y": y, "width": width, "height": height}
        texts = {name: _number(length) for name, length in lengths.items()}
        ElementTree.SubElement(self._root, "rect", texts, fill=colour)

    def columns(
        self,
        x: int,
        tops: NDArray[np.float64],
        bottoms: NDArray[np.float64],
        colour: str,
    ) -> None:
        if not len(tops):
            return
        # To the right along the tops, and back along the bottoms.
        there = [f"V{_number(top)}h1" for top in tops.tolist()]
        back = [f"V{_number(bottom)}h-1" for bottom in bottoms.tolist()[::-1]]
        path = f"M{x} {_number(float(bottoms[0]))}{''.join(there + back)}z"
        ElementTree.SubElement(self._root, "path", d=path, fill=colour)

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
        valid = _NO_XML.sub("", text)
        fitting = fonts.shortened(valid, most_width, lambda part: _width(part) * size)
        if not fitting:
            return
        place = {"x": _number(x), "y": _number(y), "font-size": _number(size)}
        place |= {"fill": colour, "text-anchor": anchor, _SPACE: "preserve"}
        ElementTree.SubElement(self._root, "text", place).text = fitting

    def finish(self) -> bytes:
        file: bytes = ElementTree.tostring(
            self._root, encoding="utf-8", xml_declaration=True
        )
        return file


def _number(length: float) -> str:
    return f"{length:.2f}".rstrip("0").rstrip(".")


def _width(text: str) -> float:
    """Return a text's approximate width in any font, relative to the font size."""
    is_wide = [unicodedata.east_asian_width(character) in "WF" for character in text]
    return sum(1.0 if wide else 0.56 for wide in is_wide)
