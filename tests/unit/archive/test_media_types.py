"""Media is what its bytes are."""

import pytest

from serve_app.archive import media_types
from tests import hls
from tests.hls import Clip

PACKETS = (b"\x47" + bytes(187)) * 6


@pytest.mark.parametrize(
    ("container", "audio", "video", "name", "extension"),
    [
        ("mp4", "aac", "libx264", "video/mp4", "mp4"),
        ("mov", "aac", "libx264", "video/quicktime", "mov"),
        ("ipod", "aac", None, "audio/mp4", "m4a"),
        ("webm", None, "libvpx", "video/webm", "webm"),
        ("matroska", "aac", "libx264", "video/x-matroska", "mkv"),
        ("mp3", "libmp3lame", None, "audio/mpeg", "mp3"),
        ("adts", "aac", None, "audio/aac", "aac"),
        ("ogg", "flac", None, "audio/ogg", "ogg"),
        ("flac", "flac", None, "audio/flac", "flac"),
        ("wav", "pcm_s16le", None, "audio/wav", "wav"),
        ("mpegts", "aac", "libx264", "video/mp2t", "ts"),
    ],
)
def test_each_container_has_its_type(
    container: str, audio: str | None, video: str | None, name: str, extension: str
) -> None:
    data = hls.encoded(Clip(seconds=0.4, audio=audio, video=video), container)
    found = media_types.of(data[: media_types.HEAD_BYTES])
    assert found is not None
    assert (found.name, found.extension) == (name, extension)


@pytest.mark.parametrize(
    ("head", "extension"),
    [
        (b"\0\0\0\x14ftypM4V \0\0\0\0", "m4v"),
        (b"\0\0\0\x08wide\0\0\0\0", "mov"),
        (b"RF64\xff\xff\xff\xffWAVEds64", "wav"),
        (b"ID3\x04\0\0\0\0\x02\x01" + bytes(257) + b"\xff\xf1\x50\x80", "aac"),
        (b"ID3\x04\0\0\0\0\x02\x01" + bytes(257) + b"\xff\xfb\x90\0", "mp3"),
        (b"ID3\x04\0\0\x7f\0\0\0" + bytes(1000), "mp3"),
        (PACKETS, "ts"),
        (b"OggS" + bytes(24) + b"OpusHead", "opus"),
        (b"OggS" + bytes(24) + b"\x80theora", "ogv"),
    ],
)
def test_rarer_beginnings_are_known_too(head: bytes, extension: str) -> None:
    found = media_types.of(head)
    assert found is not None
    assert found.extension == extension


@pytest.mark.parametrize(
    "head",
    [
        *(b"", b"\xff", b"\xff\xfe<\0h\0t\0m\0l\0", b"\xff\xd8\xff\xe0"),
        *(b"\0\0\0\x18ftypavif", b"\0\0\0\x18ftypheic", b"RIFF\0\0\0\0AVI "),
        *(b"G" * 10, b"G" + bytes(600), bytes.fromhex("1a45dfa3") + bytes(99)),
        *(b"\xff\xfb\xf0\0", b"\xff\xfb\x0c\0", b"%PDF-1.7", b"MZ\x90\0"),
        *(b"#EXTM3U\n", b"WEBVTT\n", b"ID3\x04\0\0\0\0\0\0<html>"),
    ],
)
def test_nothing_else_is_media(head: bytes) -> None:
    assert media_types.of(head) is None


@pytest.mark.parametrize("head", [b"#EXTM3U\n", b"\xef\xbb\xbf#EXTM3U", b"\r\n#EXTM3U"])
def test_a_playlist_is_recognised(head: bytes) -> None:
    assert media_types.is_playlist(head)
    assert media_types.description(head) == "a playlist"
