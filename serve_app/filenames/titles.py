"""Titles of songs from file names, and file names from titles."""

import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

DEFAULT = "song"
LONGEST_CHARACTERS = 255
# File systems allow 255 bytes; browsers append ` (1)` and `.crdownload`.
LONGEST_FILE_NAME_BYTES = 240

# The suffixes of files that can contain a song.
SONG_SUFFIXES = (
    *("mp3", "wav", "flac", "m4a", "aac", "ogg", "oga", "opus", "aiff", "aif", "aifc"),
    *("wma", "mp4", "m4b", "m4v", "mov", "qt", "mkv", "mka", "webm", "weba", "avi"),
    *("3gp", "3g2", "ac3", "amr", "ape", "asf", "au", "snd", "caf", "dts", "eac3"),
    *("f4v", "flv", "gsm", "m2ts", "mts", "ts", "mlp", "thd", "mp1", "mp2", "mpa"),
    *("mpeg", "mpg", "mxf", "ogm", "ogv", "spx", "tta", "vob", "voc", "w64", "wave"),
    *("wmv", "wtv", "wv"),
)

# Only these are removed from titles: `Mr. Brightside` has no suffix.
_SUFFIX = re.compile(rf"\.(?:{'|'.join(SONG_SUFFIXES)})\Z", re.IGNORECASE)
_WINDOWS_PATH = re.compile(r"(?:[A-Za-z]:|\.{1,2})?\\")
_BREAKS = re.compile(r"[\t-\r\x85\u2028\u2029]+")
# Characters that reverse the text after them, as in `song\u202egpm.exe`.
_OVERRIDES = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
_RESERVED = re.compile(
    r"(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9¹²³]) *(?:\.|\Z)",
    re.IGNORECASE,
)
_KANA_OR_KANJI = "[\u3040-\u30ff\u3400-\u9fff]"
# Two in a row, or one without a letter next to it: `Don\x92t` decodes to `Don\u7a1a`.
_JAPANESE = re.compile(
    f"{_KANA_OR_KANJI}{{2}}|(?<![A-Za-z]){_KANA_OR_KANJI}(?![A-Za-z])"
)
_UNDEFINED = re.compile("[\x80-\x9f\ufffd\ue000-\uf8ff]")


def clean(name: str) -> str:
    """Return the title of the song in a file `name`: its last segment, on one line.

    It may contain quotes and backslashes, so it is not a safe file name.
    """
    title = _BREAKS.sub(" ", readable(name))
    title = "".join(filter(_is_harmless, title))
    title = _last_segment(title)
    if all(char == "." or unicodedata.category(char)[0] in "CZ" for char in title):
        return DEFAULT
    if len(title) > LONGEST_CHARACTERS:
        base, suffix = _split(title)
        title = base[: LONGEST_CHARACTERS - len(suffix)].rstrip() + suffix
    return title


def of_file(path: Path) -> str:
    """Return the title of a local file, independent of the locale."""
    return clean(decode(os.fsencode(path.name)))


def file_name(title: str, ending: str = "") -> str:
    """Return a safe file name: the title without its suffix, then `ending`."""
    base = _split(title)[0]
    return safe((base if base.strip(" .") else DEFAULT) + ending, ending)


def safe(name: str, ending: str | None = None) -> str:
    """Return the most similar name that is valid on Linux, macOS and Windows.

    A name that is too long keeps its `ending`, by default the suffix.
    """
    name = unicodedata.normalize("NFC", _BREAKS.sub(" ", readable(name)))
    name = re.sub(r'[<>:"/\\|?*]', "_", "".join(filter(_is_harmless, name)))
    # Leading dots hide a file; Windows drops dots and spaces at the end.
    name = name.lstrip(" .").rstrip(" .") or DEFAULT
    if _RESERVED.match(name):
        name = f"_{name}"
    if ending is None:
        ending = _split(name)[1]
    room_bytes = LONGEST_FILE_NAME_BYTES - len(ending.encode())
    base = name.removesuffix(ending).encode()
    if len(base) <= room_bytes:
        return name
    return base[:room_bytes].decode("utf-8", "ignore").rstrip(" .") + ending


def readable(text: str) -> str:
    """Return `text` without lone surrogates; decode paths that are not UTF-8."""
    try:
        # Each segment of a path may have another encoding.
        parts = text.encode("utf-8", "surrogateescape").split(b"/")
        return "/".join(map(decode, parts))
    except UnicodeEncodeError:
        # Lone surrogates, which Windows and JavaScript allow.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def decode(raw: bytes) -> str:
    """Decode `raw` as UTF-8, else as Shift-JIS if it looks Japanese, else as Latin."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        pass
    if any(0x80 <= byte < 0xA0 for byte in raw):
        # In Latin text these bytes are rare: quotes and dashes.
        text = raw.decode("cp932", "replace")
        if _JAPANESE.search(text) and not _UNDEFINED.search(text):
            return text
    return raw.decode("cp1252", "replace")


def _is_harmless(character: str) -> bool:
    return (
        unicodedata.category(character) != "Cc"
        and unicodedata.bidirectional(character) not in _OVERRIDES
    )


def _last_segment(path: str) -> str:
    name = _last(path.split("/"))
    return _last(name.split("\\")) if _WINDOWS_PATH.match(name) else name


def _last(segments: Sequence[str]) -> str:
    """Return the last segment that is more than dots, without spaces around it."""
    return next((each.strip() for each in reversed(segments) if each.strip(" .")), "")


def _split(name: str) -> tuple[str, str]:
    """Split a name into its base and its suffix of a song, or ""."""
    found = _SUFFIX.search(name)
    return (name, "") if found is None else (name[: found.start()], found[0])
