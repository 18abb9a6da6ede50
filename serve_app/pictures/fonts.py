"""Fonts for pictures of pixels, and texts made to fit."""

import unicodedata
from collections.abc import Callable
from functools import lru_cache

from PIL import ImageFont, features

Font = ImageFont.FreeTypeFont

ELLIPSIS = "\u2026"

# Pillow brings a font that has plain Latin letters only. For other titles these are
# looked for where the system keeps fonts; each has more letters than the one before.
_PILLOWS_OWN = ""
_SYSTEM_FONTS = (
    "DejaVuSans.ttf",
    "LiberationSans-Regular.ttf",
    "Arial.ttf",
    "Arial Unicode.ttf",
    "NotoSansCJK-Regular.ttc",
    "msgothic.ttc",
)
# Letters that have no accent to take off.
_PLAIN = str.maketrans(
    {
        **{"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O"},
        **{"ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "þ": "th", "Þ": "Th"},
        **{"\u0131": "i", "\u2013": "-", "\u2014": "-", "♯": "#", "♭": "b"},
    }
)


def drawable(text: str, size: float) -> tuple[Font, str]:
    """Return a font and what of a text it can draw, so that no letter is a box.

    Where no font has all letters, accents are dropped, and others become an ellipsis.
    The text is empty where nothing else is left of it.
    """
    composed = unicodedata.normalize("NFC", text)
    for name in (_PILLOWS_OWN, *_SYSTEM_FONTS):
        font = _font(name, size)
        if font and all(_has(name, character) for character in composed):
            return font, composed
    return _own_font(size), _in_plain_letters(composed)


def shortened(text: str, most_width: float, width: Callable[[str], float]) -> str:
    """Return a text that is at most so wide: whole, cut with an ellipsis, or empty."""
    if width(text) <= most_width:
        return text
    # The longest beginning that fits, by halves.
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if width(text[:middle].rstrip() + ELLIPSIS) <= most_width:
            fits = middle
        else:
            too_long = middle
    return text[:fits].rstrip() + ELLIPSIS if fits else ""


def _in_plain_letters(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.translate(_PLAIN))
    kept = ""
    for character in decomposed:
        if _has(_PILLOWS_OWN, character):
            kept += character
        # Accents, signs and pictures aren't missed; letters are.
        elif unicodedata.category(character)[0] in "LN" and not kept.endswith(ELLIPSIS):
            kept += ELLIPSIS
    return kept.strip() if kept.strip(f"{ELLIPSIS} ") else ""


@lru_cache(maxsize=256)
def _font(name: str, size: float) -> Font | None:
    if name == _PILLOWS_OWN:
        return _own_font(size)
    try:
        return ImageFont.truetype(name, size)
    except OSError:
        return None


def _own_font(size: float) -> Font:
    font = ImageFont.load_default(size)
    if not isinstance(font, Font):
        raise RuntimeError("This Pillow has no FreeType; install a wheel of PyPI's.")
    return font


@lru_cache(maxsize=4_096)
def _has(name: str, character: str) -> bool:
    """Return whether a font has a shape for a character, and can set it in order."""
    font = _font(name, 20)
    if font is None or unicodedata.category(character)[0] == "C":
        return False
    if character.isspace():
        return character == " "
    is_right_to_left = unicodedata.bidirectional(character) in ("R", "AL", "AN")
    if is_right_to_left and not _can_join_letters():
        return False
    # A font draws the same box for all that it lacks.
    return _shape(font, character) != _shape(font, "\uffff")


def _shape(font: Font, character: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(character)
    return mask.size, bytes(mask)


@lru_cache(maxsize=1)
def _can_join_letters() -> bool:
    return bool(features.check("raqm") and features.check("fribidi"))
