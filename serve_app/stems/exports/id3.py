"""ID3v2.3 tags (id3.org). Old programs read this version and its UTF-16 too."""

from serve_app.stems.exports.tags import Cover, Tags

_TEXTS = {
    "title": "TIT2",
    "artist": "TPE1",
    "album": "TALB",
    "album_artist": "TPE2",
    "genre": "TCON",
    "year": "TYER",
    "track": "TRCK",
    "bpm_text": "TBPM",
    "key": "TKEY",
}
_LATIN, _UTF16 = b"\0", b"\1"
_FRONT_COVER = b"\3"
# Serato and Mixxx look for the beat grid under this name.
_SERATO_GRID = b"Serato BeatGrid\0"


def tag(tags: Tags) -> bytes:
    """Return the tag: its header and its frames."""
    frames = [
        _frame(name, _text(getattr(tags, field)))
        for field, name in _TEXTS.items()
        if getattr(tags, field)
    ]
    if tags.comment:
        # No language, and no short description.
        frames.append(
            _frame(
                "COMM", _UTF16 + b"XXX" + _utf16("") + b"\0\0" + _utf16(tags.comment)
            )
        )
    if tags.cover is not None:
        frames.append(_frame("APIC", _picture(tags.cover)))
    if tags.beat_grid:
        kind = b"application/octet-stream\0"
        content = _LATIN + kind + b"\0" + _SERATO_GRID + tags.beat_grid
        frames.append(_frame("GEOB", content))
    body = b"".join(frames)
    return b"ID3\3\0\0" + _syncsafe(len(body)) + body


def _frame(name: str, content: bytes) -> bytes:
    return name.encode() + len(content).to_bytes(4, "big") + bytes(2) + content


def _text(text: str) -> bytes:
    return _LATIN + text.encode() if text.isascii() else _UTF16 + _utf16(text)


def _utf16(text: str) -> bytes:
    return b"\xff\xfe" + text.encode("utf-16-le")


def _picture(cover: Cover) -> bytes:
    return (
        _LATIN + cover.media_type.encode() + b"\0" + _FRONT_COVER + b"\0" + cover.data
    )


def _syncsafe(size: int) -> bytes:
    if size >= 1 << 28:
        raise ValueError(f"an ID3 tag must be under 256 MiB, got {size} bytes")
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
