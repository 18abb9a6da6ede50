"""What is media, whatever its source says that it is."""

import random

import pytest

from serve_app.archive.errors import NotMedia
from serve_app.archive.http.streaming import sent_types

MP4 = b"\0\0\0\x20ftypisom" + bytes(500)
NOISE = random.Random(1).randbytes(512)
TS = (b"G" + bytes(187)) * 3
PAGE = b"<!DOCTYPE html><html><body>Not found</body></html>"


@pytest.mark.parametrize(
    ("declared", "first", "expected"),
    [
        ("video/mp4", MP4, "video/mp4"),
        ("Video/MP4; codecs=avc1", MP4, "video/mp4"),
        ("application/mp4", MP4, "video/mp4"),
        ("video/webm", b"\x1aE\xdf\xa3", "video/webm"),
        ("audio/mpeg", b"ID3", "audio/mpeg"),
        ("audio/x-wav", b"RIFF\0\0\0\0WAVE", "audio/wav"),
        ("video/mp2t", TS, "video/mp2t"),
        ("text/vtt", b"WEBVTT\n\n" + b"00:01 --> 00:02\nHello\n" * 40, "text/vtt"),
        # Any file: its bytes tell.
        ("application/octet-stream", MP4, "video/mp4"),
        ("application/octet-stream", TS, "video/mp2t"),
        ("binary/octet-stream", b"\x1aE\xdf\xa3" + b"webm" * 9, "video/webm"),
        ("", b"OggS" + bytes(99), "audio/ogg"),
        # Encrypted segments, and keys, even of letters.
        ("application/octet-stream", NOISE, "video/mp4"),
        ("application/octet-stream", b"<" + NOISE[1:], "video/mp4"),
        ("application/octet-stream", b"0123456789abcdef", "video/mp4"),
        ("application/octet-stream", b"<bcdefghijklmnop", "video/mp4"),
        ("video/mp4", b"", "video/mp4"),
    ],
)
def test_media_gets_a_type_of_media(declared: str, first: bytes, expected: str) -> None:
    assert sent_types.sent(declared, first) == expected


@pytest.mark.parametrize(
    ("declared", "first"),
    [
        ("text/html", PAGE),
        ("text/html", MP4),
        ("text/plain", b"Access denied"),
        ("application/json", b"{}"),
        ("image/png", b"\x89PNG\r\n"),
        ("image/svg+xml", b"<svg/>"),
        ("application/javascript", b"alert(1)"),
        # A type that is a lie.
        ("video/mp4", PAGE),
        ("video/mp4", b"\xef\xbb\xbf\r\n  " + PAGE),
        ("video/mp4", b'<?xml version="1.0"?><Error>AccessDenied</Error>'),
        ("video/mp4", b'{"error": "not found", "code": 404}'),
        ("video/mp4", b"Sorry, this video is gone. " * 20),
        ("application/octet-stream", b"%PDF-1.7 ..."),
        ("application/octet-stream", b"PK\x03\x04" + bytes(99)),
        ("", b"\xff\xd8\xff\xe0" + bytes(99)),
        ("text/vtt", b"function () { alert(1) } // " * 30),
    ],
)
def test_other_files_are_refused(declared: str, first: bytes) -> None:
    with pytest.raises(NotMedia):
        sent_types.sent(declared, first)


def test_the_middle_of_a_file_may_begin_like_anything() -> None:
    assert sent_types.sent("video/mp4", PAGE, is_start=False) == "video/mp4"
    with pytest.raises(NotMedia):
        sent_types.sent("text/html", MP4, is_start=False)


@pytest.mark.parametrize(
    ("declared", "first", "expected"),
    [
        ("application/vnd.apple.mpegurl", b"#EXTM3U", True),
        ("application/x-mpegURL; charset=utf-8", b"", True),
        ("audio/mpegurl", b"", True),
        ("text/plain", b"#EXTM3U\n#EXTINF:4,\na.ts", True),
        ("video/mp4", b"\xef\xbb\xbf#EXTM3U", True),
        ("video/mp4", MP4, False),
        ("text/html", PAGE, False),
    ],
)
def test_playlists_are_known_by_their_content_or_type(
    declared: str, first: bytes, expected: bool
) -> None:
    assert sent_types.is_playlist(declared, first) is expected
