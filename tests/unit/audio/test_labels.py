import struct
from pathlib import Path

import pytest

from serve_app.audio import labels
from serve_app.audio.encode import Encoder
from serve_app.audio.formats import FORMATS
from serve_app.errors import UnreadableAudio
from serve_app.stems.exports import tagging
from serve_app.stems.exports.tags import Cover, Tags
from tests import media

PNG = b"\x89PNG\r\n\x1a\n"


def write(path: Path, name: str, tags: Tags) -> Path:
    stem, target = (path / f"{part}{FORMATS[name].suffix}" for part in ("a", "b"))
    encoder = Encoder(stem, FORMATS[name], 44_100)
    encoder.write(media.song(0.3))
    encoder.close()
    tagging.write(stem, target, tags)
    return target


@pytest.mark.parametrize("name", ["flac", "mp3", "m4a", "opus"])
def test_values_are_by_names_in_lower_case(tmp_path: Path, name: str) -> None:
    found = labels.read(write(tmp_path, name, Tags(title="T", artist="A")))
    assert (found.values["title"], found.values["artist"]) == ("T", "A")


def test_long_values_are_cut_and_large_covers_left_out(tmp_path: Path) -> None:
    cover = Cover("image/png", PNG + bytes(8 * 2**20))
    tags = Tags(comment="x" * 5_000, cover=cover)
    found = labels.read(write(tmp_path, "mp3", tags))
    assert len(found.values["comment"]) == 4_096
    assert found.cover is None


def test_only_pictures_are_covers(tmp_path: Path) -> None:
    """Video frames are not covers."""
    media.write_song(tmp_path / "song.mp4", "mp4", seconds=0.5)
    assert labels.read(tmp_path / "song.mp4").cover is None


@pytest.mark.parametrize(
    ("kind", "samples"), [("m4a", 1024), ("alac", 0), ("mp3", 0), ("opus", 0)]
)
def test_the_delay_of_an_mp4_is_that_of_its_edit_list(
    tmp_path: Path, kind: str, samples: int
) -> None:
    path = tmp_path / f"song{media.KINDS[kind]}"
    media.write_song(path, kind, seconds=0.3)
    assert labels.read(path).lead_samples == samples


@pytest.mark.parametrize(
    ("tag", "samples"),
    [
        (" 00000000 00000840 000001CA 00000000003F31F6 00000000", 0x840),
        ("", 0),
        ("no numbers", 0),
        ("00000000", 0),
        ("0 FFFFFFFFFFFFFFFFFF 0", 0),
    ],
)
def test_the_delay_of_itunes_is_read(tag: str, samples: int) -> None:
    assert labels.itunes_delay(tag) == samples


@pytest.mark.parametrize("write", [media.write_text, media.write_empty])
def test_what_is_no_song_has_none(tmp_path: Path, write: object) -> None:
    assert callable(write)
    write(tmp_path / "song")
    with pytest.raises(UnreadableAudio):
        labels.read(tmp_path / "song")


def test_a_video_without_sound_has_none(tmp_path: Path) -> None:
    media.write_silent_video(tmp_path / "song.mp4")
    with pytest.raises(UnreadableAudio, match="no audio track"):
        labels.read(tmp_path / "song.mp4")


@pytest.mark.parametrize("order", [(4, 3), (3, 4)], ids=["back first", "front first"])
def test_the_front_cover_is_the_cover(tmp_path: Path, order: tuple[int, int]) -> None:
    song = tmp_path / "song.flac"
    media.write_song(song, "flac", seconds=1.0)
    pictures = {3: PNG + b"front", 4: PNG + b"back"}
    song.write_bytes(with_pictures(song.read_bytes(), order, pictures))
    found = labels.read(song)
    assert found.cover == ("image/png", pictures[3])


def with_pictures(
    flac: bytes, order: tuple[int, int], pictures: dict[int, bytes]
) -> bytes:
    """Put pictures (by their types) behind the first block of a FLAC."""
    blocks = b""
    for kind in order:
        data = pictures[kind]
        head = struct.pack(">II9sI", kind, 9, b"image/png", 0)
        body = head + struct.pack(">IIIII", 1, 1, 24, 0, len(data)) + data
        blocks += bytes([6]) + len(body).to_bytes(3, "big") + body
    first = 8 + int.from_bytes(flac[5:8], "big")
    return flac[:4] + bytes([flac[4] & 0x7F]) + flac[5:first] + blocks + flac[first:]
