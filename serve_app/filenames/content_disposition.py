"""Parsing and formatting of the header Content-Disposition.

By RFC 6266 and RFC 7578, with the deviations of browsers and libraries.
"""

import hashlib
import re
import unicodedata
from base64 import b64decode
from binascii import a2b_qp
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from urllib.parse import quote, unquote_to_bytes

from serve_app.filenames import titles

# A limit, because each parameter may take a scan of the whole header.
_MOST_PARAMETERS = 20

# An unescaped quote ends a value only at the end or before another parameter.
_END = r"\s*(?=;\s*[\w*-]+\s*=|;?\s*\Z)"
_PARAMETER = re.compile(
    rf';\s*([\w*-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"{_END}|"(.*?)"{_END}|([^;]*))',
    re.DOTALL,
)
_SEGMENT = re.compile(r"filename\*(?:(\d{1,3})(\*)?)?")

# All that browsers escape (https://html.spec.whatwg.org/#multipart-form-data).
_BROWSER_ESCAPES = {"%22": '"', "%0A": "\n", "%0D": "\r"}
_PERCENT_ENCODED = re.compile(r"(?:[\w.~-]|%[0-9A-F]{2})*", re.ASCII)

# An encoded word of RFC 2047; long names are several words, separated by spaces.
_WORD = r"=\?([\w-]+)(?:\*[\w-]*)?\?([BbQq])\?([^?]*)\?="
_WORDS = re.compile(rf"{_WORD}(?:\s*{_WORD})*")
_CHARSET = re.compile(
    r"utf-?8|us-ascii|latin-?1|iso-?8859-\d+|windows-\d+|cp\d+|(?:x-)?s(?:hift[_-]?)?jis"
    r"|euc-?\w+|gbk?|gb\d+|big5|koi8-\w|iso-2022-\w+",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Disposition:
    """The form field's name and the file name in a header."""

    field: str | None
    filename: str | None


def read(header: bytes, is_percent_encoded: bool = False) -> Disposition:
    """Parse a header; its file name is unchecked.

    `is_percent_encoded` says that the sender percent-encodes complete names.
    """
    found: dict[str, str] = {}
    for match in islice(
        _PARAMETER.finditer(header.decode("latin-1")), _MOST_PARAMETERS
    ):
        key, *values = match.groups()
        found.setdefault(key.lower(), _unescaped(*values))
    field = found.get("name")
    return Disposition(
        field=None if field is None else _from_browser(_text(field)),
        filename=_filename(found, is_percent_encoded),
    )


def attachment(name: str) -> str:
    """Return the header with which browsers save a file as the safe form of `name`.

    It has both forms of RFC 6266: ASCII for old clients, and UTF-8.
    """
    name = titles.safe(name)
    parts = unicodedata.normalize("NFKD", name)
    plain = parts.encode("ascii", "ignore").decode()
    if any(not (part.isascii() or unicodedata.combining(part)) for part in parts):
        # A hash replaces the lost letters, or all Japanese songs would have one name.
        # All files of a song have the same hash. Spaces around the letters are removed.
        lost = "".join(part for part in parts if not part.isascii())
        words = re.sub(r" +(?=[ ._]|\Z)", "", plain).lstrip(" ")
        plain = hashlib.sha256(lost.encode()).hexdigest()[:8] + words
    # NFKD may have produced a slash.
    plain = titles.safe(plain).replace("%", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _unescaped(quoted: str | None, loose: str | None, plain: str | None) -> str:
    if quoted is None:
        return loose if loose is not None else (plain or "").strip().strip('"')
    # Other backslashes are literal: browsers do not escape them.
    return re.sub(r'\\(["\\])', r"\1", quoted)


def _filename(found: Mapping[str, str], is_percent_encoded: bool) -> str | None:
    extended = _extended(found)
    name = found.get("filename")
    if extended or name is None:
        return extended
    if _WORDS.search(name):
        return _WORDS.sub(_decoded_words, name)
    if is_percent_encoded and _PERCENT_ENCODED.fullmatch(name):
        return titles.decode(unquote_to_bytes(name))
    return _from_browser(_text(name))


def _from_browser(text: str) -> str:
    for escape, character in _BROWSER_ESCAPES.items():
        text = text.replace(escape, character)
    return text


def _extended(found: Mapping[str, str]) -> str | None:
    """Return the name in `filename*`, or in sections `filename*0`, `filename*1*`, …"""
    pieces: dict[int, bytes] = {}
    charset = ""
    for key, value in found.items():
        if match := _SEGMENT.fullmatch(key):
            number = int(match[1] or 0)
            is_encoded = match[1] is None or match[2] is not None
            if is_encoded and number == 0 and value.count("'") >= 2:
                charset, _, value = value.split("'", 2)
            raw = value.encode("latin-1")
            pieces[number] = unquote_to_bytes(raw) if is_encoded else raw
    if not pieces:
        return None
    return _text_of(b"".join(raw for _, raw in sorted(pieces.items())), charset)


def _decoded_words(words: re.Match[str]) -> str:
    found = re.findall(_WORD, words[0])
    raw = b"".join(_bytes_of(encoding, text) for _, encoding, text in found)
    return _text_of(raw, found[0][0])


def _bytes_of(encoding: str, text: str) -> bytes:
    raw = text.encode("latin-1")
    if encoding in "Qq":
        return a2b_qp(raw, header=True)
    try:
        return b64decode(raw + b"=" * (-len(raw) % 4))
    except ValueError:
        return raw


def _text(value: str) -> str:
    return titles.decode(value.encode("latin-1"))


def _text_of(raw: bytes, charset: str) -> str:
    if _CHARSET.fullmatch(charset):
        try:
            return raw.decode(charset)
        except (LookupError, UnicodeDecodeError):
            pass
    return titles.decode(raw)
