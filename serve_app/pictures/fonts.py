"""Fonts for PNG pictures, and texts shortened to fit."""

import unicodedata
from collections.abc import Callable
from functools import lru_cache

from PIL import ImageFont, features

Font = ImageFont.FreeTypeFont

ELLIPSIS = "\u2026"

# Pillow includes a font with plain Latin letters only. For other titles these system
# fonts are tried, starting with those of Debian's packages fonts-dejavu-core,
# fonts-wqy-microhei (Chinese, Japanese, Korean) and fonts-noto-cjk.
_PILLOWS_OWN = ""
_SYSTEM_FONTS = (
    "DejaVuSans.ttf",
    "LiberationSans-Regular.ttf",
    "Arial.ttf",
    "Arial Unicode.ttf",
    "wqy-microhei.ttc",
    "NotoSansCJK-Regular.ttc",
    "Hiragino Sans GB.ttc",
    "AppleSDGothicNeo.ttc",
    "msgothic.ttc",
    "malgun.ttf",
    "msyh.ttc",
)
# Transliterations of the letters from U+0430 on, as in passports (ICAO Doc 9303-3, 6B).
_CYRILLIC = (
    *("a", "b", "v", "g", "d", "e", "zh", "z", "i", "i", "k", "l", "m", "n", "o", "p"),
    *("r", "s", "t", "u", "f", "kh", "ts", "ch", "sh", "shch", "ie", "y", "", "e"),
    *("iu", "ia"),
)
# Letters that don't decompose into a plain letter and an accent.
_PLAIN = str.maketrans(
    {
        **{"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O"},
        **{"ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "þ": "th", "Þ": "Th"},
        **{chr(0x430 + place): plain for place, plain in enumerate(_CYRILLIC)},
        **{chr(0x410 + at): plain.capitalize() for at, plain in enumerate(_CYRILLIC)},
        **{"\u0451": "e", "\u0401": "E", "\u0456": "i", "\u0406": "I"},
        **{"\u0131": "i", "\u2013": "-", "\u2014": "-", "♯": "#", "♭": "b"},
    }
)


def drawable(text: str, size: float) -> tuple[Font, str]:
    """Return a font, and the text with only the characters it can draw.

    If no font has every character, the one with the most is used. Missing accents are
    dropped, Cyrillic is transliterated, and other letters become an ellipsis. If only
    ellipses are left, the text is empty.
    """
    composed = unicodedata.normalize("NFC", text)
    best, most = _PILLOWS_OWN, -1
    for name in (_PILLOWS_OWN, *_SYSTEM_FONTS):
        found = sum(_has(name, character) for character in composed)
        if found > most and _font(name, size):
            best, most = name, found
        if most == len(composed):
            break
    return _font(best, size) or _own_font(size), _in_letters_of(best, composed)


def shortened(text: str, most_width: float, width: Callable[[str], float]) -> str:
    """Return a text at most this wide: whole, cut with an ellipsis, or empty."""
    if width(text) <= most_width:
        return text
    # A binary search for the longest prefix that fits.
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if width(text[:middle].rstrip() + ELLIPSIS) <= most_width:
            fits = middle
        else:
            too_long = middle
    return text[:fits].rstrip() + ELLIPSIS if fits else ""


def _in_letters_of(name: str, text: str) -> str:
    """Return the text with only the characters that a font can draw."""
    kept = ""
    for character in text:
        if _has(name, character):
            kept += character
            continue
        for plain in unicodedata.normalize("NFKD", character.translate(_PLAIN)):
            if _has(name, plain):
                kept += plain
            # Missing letters are marked; missing accents, signs and emoji are not.
            elif unicodedata.category(plain)[0] in "LN" and not kept.endswith(ELLIPSIS):
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
        raise RuntimeError(
            "Pillow was built without FreeType. Install Pillow's wheel from PyPI."
        )
    return font


@lru_cache(maxsize=4_096)
def _has(name: str, character: str) -> bool:
    """Return whether a font has a character's glyph and can lay it out."""
    font = _font(name, 20)
    if font is None or unicodedata.category(character)[0] == "C":
        return False
    if character.isspace():
        return character == " "
    is_right_to_left = unicodedata.bidirectional(character) in ("R", "AL", "AN")
    if is_right_to_left and not _can_join_letters():
        return False
    # Fonts draw the same box for every missing character.
    return _shape(font, character) != _shape(font, "\uffff")


def _shape(font: Font, character: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(character)
    return mask.size, bytes(mask)


@lru_cache(maxsize=1)
def _can_join_letters() -> bool:
    return bool(features.check("raqm") and features.check("fribidi"))
