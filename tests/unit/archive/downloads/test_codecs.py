"""What segments are made of is read without a decoder."""

import pytest

from serve_app.archive.downloads import codecs
from serve_app.archive.errors import BrokenMedia, ProtectedMedia
from tests.unit.archive.downloads import samples


@pytest.mark.parametrize(
    ("clip", "found"),
    [
        ({}, ("aac", "h264")),
        ({"audio": "libmp3lame", "video": "mpeg2video"}, ("mpeg audio", "mpeg2video")),
        ({"video": None, "audio": "ac3"}, ("ac3",)),
        ({"audio": None, "video": "libx265"}, ("hevc",)),
    ],
)
def test_mpeg_ts_names_its_codecs(
    clip: dict[str, str | None], found: tuple[str, ...]
) -> None:
    head = samples.segment(**clip)[: codecs.HEAD_BYTES]
    assert codecs.container(head, has_map=False) == codecs.MPEG_TS
    assert codecs.of_mpeg_ts(head) == found


def test_a_segment_without_tables_names_none() -> None:
    packets = samples.segment()[3 * 188 :]
    assert codecs.of_mpeg_ts(packets[:1880]) == ()
    assert codecs.of_mpeg_ts(b"\x47" * 1880) == ()


@pytest.mark.parametrize(("kind", "protected"), [(0x1B, 0xDB), (0x0F, 0xCF)])
def test_sample_aes_is_protected(kind: int, protected: int) -> None:
    head = bytearray(samples.segment()[: codecs.HEAD_BYTES])
    table = head.index(b"\x02\xb0")  # the program map table
    head[head.index(bytes([kind, 0xE1]), table)] = protected
    with pytest.raises(ProtectedMedia, match="SAMPLE-AES"):
        codecs.of_mpeg_ts(bytes(head))


def test_a_map_names_its_codecs() -> None:
    head, _ = samples.fragments()
    assert codecs.of_map(head) == ("avc1", "mp4a")


def test_common_encryption_is_protected() -> None:
    head, _ = samples.fragments()
    with pytest.raises(ProtectedMedia, match="Common Encryption"):
        codecs.of_map(head.replace(b"avc1", b"encv"))


@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"\0\0\0\x08stsd", b"\xff" * 40])
def test_broken_boxes_name_nothing(data: bytes) -> None:
    assert codecs.of_map(data) == ()


@pytest.mark.parametrize(
    ("head", "has_map", "words"),
    [
        (b"<html>", False, "a web page"),
        (b"#EXTM3U", False, "a playlist"),
        (b"", True, "nothing"),
        (b"\x89PNG\r\n" + bytes(99), False, "an image"),
        (b"\x47" + bytes(187), True, "not MPEG-TS, MP4 or audio"),
        (b"fLaC" + bytes(99), False, "not MPEG-TS"),
    ],
)
def test_a_segment_of_something_else_is_broken(
    head: bytes, has_map: bool, words: str
) -> None:
    with pytest.raises(BrokenMedia, match=words):
        codecs.container(head, has_map)
