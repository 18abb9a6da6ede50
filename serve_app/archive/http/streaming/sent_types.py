"""Which responses of sources are media, by their type and by their first bytes."""

import re

from serve_app.archive import media_types
from serve_app.archive.errors import NotMedia

VIDEO = "video/mp4"
PLAYLIST = "application/vnd.apple.mpegurl"
# As many bytes as it takes to tell what a file is.
SNIFFED_BYTES = media_types.HEAD_BYTES

_PLAYLISTS = (
    *(PLAYLIST, "application/x-mpegurl", "application/mpegurl"),
    *("audio/mpegurl", "audio/x-mpegurl"),
)
# Types that sources send, and those that players get.
_MEDIA = {
    **{name: name for name in (VIDEO, "video/webm", "video/ogg", "video/mp2t")},
    **{name: name for name in ("video/quicktime", "video/x-matroska")},
    **{name: name for name in ("audio/mpeg", "audio/mp4", "audio/aac", "audio/ogg")},
    **{name: name for name in ("audio/webm", "audio/flac", "audio/wav", "text/vtt")},
    **{"application/mp4": VIDEO, "video/x-m4v": VIDEO, "video/iso.segment": VIDEO},
    **{"audio/mp3": "audio/mpeg", "audio/x-m4a": "audio/mp4"},
    **{"audio/x-wav": "audio/wav", "audio/x-flac": "audio/flac"},
}
# Said of any file: its bytes must tell.
_UNKNOWN = ("", "application/octet-stream", "binary/octet-stream")
# Segments of playlists begin with these too: fragments, and subtitles.
_FRAGMENT = re.compile(rb"....(styp|moof|sidx|emsg)", re.DOTALL)
_SUBTITLES = b"WEBVTT"
# Other files: pictures, documents, archives, programs. Long enough that no encrypted
# segment of a playlist begins like one by chance.
_FOREIGN = re.compile(
    rb"\x89PNG|\xff\xd8\xff|GIF8|%PDF|PK\x03\x04|\x1f\x8b\x08|\x7fELF|Rar!|7z\xbc\xaf"
)
_BLANK = b"\xef\xbb\xbf \t\r\n"
# So much of text alone is a page. Keys of AES-128 may be text by chance.
_PAGE_BYTES, _KEY_BYTES = 512, 16
_TEXT = re.compile(rb"[\t\n\r\x20-\x7e\x80-\xff]+")
_MARKUP = re.compile(rb"<[A-Za-z!?/]|[{\[]")


def is_playlist(declared: str, first: bytes) -> bool:
    """Whether a file is an HLS playlist: by its first bytes, or by its type."""
    return media_types.is_playlist(first) or _plain(declared) in _PLAYLISTS


def sent(declared: str, first: bytes, *, is_start: bool = True) -> str:
    """Return the type that players get for media; raise NotMedia for anything else.

    `first` has the first bytes of the response, which are those of the file only if
    `is_start`. A type of media that sources declare for a page is no proof.
    """
    name = _plain(declared)
    if name not in _MEDIA and name not in _UNKNOWN:
        raise NotMedia(
            f"The source sent {name[:80]!r}, which is neither video nor audio."
        )
    if is_start and _is_foreign(first):
        raise NotMedia(
            "The source sent a page or another file that is neither video nor audio, "
            f"as {name[:80] or 'a file without a type'!r}."
        )
    found = _sniffed(first) if is_start and name in _UNKNOWN else ""
    return _MEDIA.get(name, found or VIDEO)


def _plain(declared: str) -> str:
    return declared.partition(";")[0].strip().lower()


def _sniffed(first: bytes) -> str:
    if first.startswith(_SUBTITLES):
        return "text/vtt"
    if _FRAGMENT.match(first):
        return VIDEO
    found = media_types.of(first)
    return "" if found is None else found.name


def _is_foreign(first: bytes) -> bool:
    start = first.lstrip(_BLANK)
    if _sniffed(start):
        return False
    if len(first) > _KEY_BYTES and _TEXT.fullmatch(first):
        return _MARKUP.match(start) is not None or len(first) >= _PAGE_BYTES
    return _FOREIGN.match(start) is not None
