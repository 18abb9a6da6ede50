import shutil
import struct
import subprocess
import wave
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from serve_app.audio.decode import read_blocks
from serve_app.audio.encode import Encoder
from serve_app.audio.formats import FORMATS
from serve_app.audio.limits import AudioLimits
from serve_app.audio.measure import measure
from serve_app.stems.exports import id3, serato, tagging, tags, vorbis
from serve_app.stems.exports.codec_facts import CodecFacts
from serve_app.stems.exports.tags import Cover, Tags
from tests import media
from tests.unit.stems.exports.songs import PNG, track

TAGS = Tags(
    title="Süß & 'so' 🎉",
    artist="A",
    album="Älbum",
    album_artist="B",
    genre="House",
    date="2020",
    track="3/12",
    comment="hé",
    bpm=127.95,
    key="F#m",
    cover=Cover("image/png", PNG),
)
CARRIED = (
    *("title", "artist", "album", "album_artist", "genre", "date", "track"),
    *("comment", "cover"),
)

needs_ffmpeg = pytest.mark.skipif(
    shutil.which("ffmpeg") is None, reason="ffmpeg is not installed"
)


def write_stem(path: Path, name: str) -> Path:
    """Write a stem as the separator does."""
    stem = path / f"stem{FORMATS[name].suffix}"
    encoder = Encoder(stem, FORMATS[name], 44_100)
    encoder.write(media.song(1.2345))
    encoder.close()
    return stem


def decoded(path: Path) -> NDArray[np.float32]:
    return np.concatenate(list(read_blocks(path)), axis=1)


def by_ffmpeg(path: Path) -> bytes:
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-map", "0:a"]
    return subprocess.run(
        [*command, "-f", "f32le", "-"], capture_output=True, check=True
    ).stdout


@pytest.mark.parametrize("name", FORMATS)
def test_tags_go_in_and_the_sound_stays_as_it_is(tmp_path: Path, name: str) -> None:
    stem = write_stem(tmp_path, name)
    target = tmp_path / f"tagged{stem.suffix}"
    tagging.write(stem, target, TAGS)
    np.testing.assert_array_equal(decoded(target), decoded(stem))
    limits = AudioLimits(max_duration_seconds=60)
    assert measure(target, limits).sha256 == measure(stem, limits).sha256
    found = tags.read(target)
    for field in CARRIED:
        assert getattr(found, field) == getattr(TAGS, field), field


@needs_ffmpeg
@pytest.mark.parametrize("name", FORMATS)
def test_ffmpeg_hears_the_same_too(tmp_path: Path, name: str) -> None:
    stem = write_stem(tmp_path, name)
    target = tmp_path / f"tagged{stem.suffix}"
    tagging.write(stem, target, TAGS)
    assert by_ffmpeg(target) == by_ffmpeg(stem)


@pytest.mark.parametrize("name", FORMATS)
def test_tempo_and_key_are_where_dj_programs_look(tmp_path: Path, name: str) -> None:
    stem = write_stem(tmp_path, name)
    target = tmp_path / f"tagged{stem.suffix}"
    tagging.write(stem, target, TAGS)
    with av.open(str(target)) as container:
        found = {**container.metadata, **container.streams.audio[0].metadata}
    values = {name.upper(): value for name, value in found.items()}
    tempo = values.get("TBPM") or values.get("BPM")
    key = values.get("TKEY") or values.get("INITIALKEY")
    assert (tempo, key) == ("127.95", "F#m")


@pytest.mark.parametrize("name", FORMATS)
def test_tags_replace_those_of_before(tmp_path: Path, name: str) -> None:
    stem = write_stem(tmp_path, name)
    once, twice = (tmp_path / f"{n}{stem.suffix}" for n in ("once", "twice"))
    tagging.write(stem, once, TAGS)
    tagging.write(once, twice, Tags(title="new"))
    found = tags.read(twice)
    assert (found.title, found.artist, found.cover) == ("new", "", None)
    np.testing.assert_array_equal(decoded(twice), decoded(stem))


@pytest.mark.parametrize("size", [1, 254, 255, 256, 65_024, 65_025, 65_026, 300_000])
def test_an_opus_takes_a_cover_of_any_size(tmp_path: Path, size: int) -> None:
    stem = write_stem(tmp_path, "opus")
    target = tmp_path / "tagged.opus"
    cover = Cover("image/png", PNG + bytes(size))
    tagging.write(stem, target, replace(TAGS, cover=cover))
    np.testing.assert_array_equal(decoded(target), decoded(stem))
    assert tags.read(target).cover == cover


def test_the_pages_of_an_opus_are_checked_and_numbered(tmp_path: Path) -> None:
    stem = write_stem(tmp_path, "opus")
    target = tmp_path / "tagged.opus"
    tagging.write(stem, target, replace(TAGS, comment="x" * 200_000))
    with target.open("rb") as file:
        pages = list(tagging.ogg_pages(file))
    assert [int.from_bytes(page[18:22], "little") for page in pages] == list(
        range(len(pages))
    )
    assert all(vorbis.checked(page) == page for page in pages)


def test_a_wav_over_4_gb_keeps_its_size_elsewhere(tmp_path: Path) -> None:
    """EBU 3306: the chunk `ds64` has it."""
    sound = b"RF64\xff\xff\xff\xffWAVEds64" + struct.pack("<IQQ", 28, 40, 4)
    sound += bytes(12) + b"data\xff\xff\xff\xffabcd"
    (tmp_path / "a.wav").write_bytes(sound)
    tagging.write(tmp_path / "a.wav", tmp_path / "b.wav", Tags(title="t"))
    data = (tmp_path / "b.wav").read_bytes()
    assert data[4:8] == b"\xff" * 4
    assert struct.unpack_from("<Q", data, 20)[0] == len(data) - 8


def test_the_grid_for_serato_is_a_general_object() -> None:
    grid = serato.beat_grid(track())
    tag = id3.tag(Tags(beat_grid=grid))
    content = b"\0application/octet-stream\0\0Serato BeatGrid\0" + grid
    frame = b"GEOB" + len(content).to_bytes(4, "big") + bytes(2) + content
    assert tag == b"ID3\3\0\0\0\0\0" + bytes([len(frame)]) + frame


@pytest.mark.parametrize("suffix", [".mp4", ".wav", ".flac", ".opus", ".m4a"])
@pytest.mark.parametrize("data", [b"", b"RIFF", b"fLaC", b"OggS\0\0", bytes(500)])
def test_a_file_that_is_another_is_refused(
    tmp_path: Path, suffix: str, data: bytes
) -> None:
    (tmp_path / f"a{suffix}").write_bytes(data)
    with pytest.raises(ValueError, match=r"."):
        tagging.write(tmp_path / f"a{suffix}", tmp_path / f"b{suffix}", TAGS)
    assert list(tmp_path.iterdir()) == [tmp_path / f"a{suffix}"]


def test_a_kind_of_file_that_is_not_known_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.ogg can't be tagged: its suffix must be"):
        tagging.write(tmp_path / "a.ogg", tmp_path / "b.ogg", TAGS)


def test_a_stem_is_named_in_its_title() -> None:
    assert TAGS.of_stem("vocals").title == "Süß & 'so' 🎉 (Vocals)"


@pytest.mark.parametrize(
    ("bpm", "text"), [(128.0, "128"), (127.95, "127.95"), (90.1, "90.1"), (0.0, "")]
)
def test_a_tempo_has_the_decimals_it_needs(bpm: float, text: str) -> None:
    assert Tags(bpm=bpm).bpm_text == text


def test_control_characters_of_the_original_are_not_carried(tmp_path: Path) -> None:
    stem = write_stem(tmp_path, "flac")
    tagging.write(stem, tmp_path / "a.flac", Tags(title="a\nb\x07"))
    assert tags.read(tmp_path / "a.flac").title == "a b"


def test_a_cover_that_is_too_large_for_a_flac_is_left_out(tmp_path: Path) -> None:
    stem = write_stem(tmp_path, "flac")
    cover = Cover("image/png", PNG + bytes(2**24))
    tagging.write(stem, tmp_path / "a.flac", Tags(title="a", cover=cover))
    assert tags.read(tmp_path / "a.flac").title == "a"
    assert (tmp_path / "a.flac").stat().st_size < 2**24


def test_a_stem_without_a_title_gets_none_of_its_songs_file_name(
    tmp_path: Path,
) -> None:
    stem, target = write_stem(tmp_path, "flac"), tmp_path / "tagged.flac"
    tagging.write_stem(track(tags=Tags(artist="A")), "drums", stem, target)
    found = tags.read(target)
    assert (found.title, found.artist) == ("", "A")


@pytest.mark.parametrize(("size", "is_carried"), [(2**20, True), (2**20 + 1, False)])
def test_stems_get_covers_of_a_reasonable_size(size: int, is_carried: bool) -> None:
    cover = Cover("image/png", PNG + bytes(size - len(PNG)))
    assert (Tags(cover=cover).of_stem("drums").cover is not None) == is_carried


def test_the_sound_of_a_tagged_wav_begins_at_byte_44(tmp_path: Path) -> None:
    """Old readers know no chunks; Python's `wave` ends where the header says."""
    stem, target = write_stem(tmp_path, "wav"), tmp_path / "tagged.wav"
    tagging.write(stem, target, TAGS)
    data = target.read_bytes()
    assert data[:4] + data[8:16] + data[36:40] == b"RIFFWAVEfmt data"
    size = int.from_bytes(data[40:44], "little")
    with wave.open(str(target)) as file:
        assert file.readframes(file.getnframes()) == data[44 : 44 + size]
    pcm, _ = soundfile.read(stem, dtype="int16")
    assert data[44 : 44 + size] == pcm.tobytes()


@pytest.mark.parametrize(("name", "lead"), [("wav", 0), ("mp3", 1105 + 1152)])
def test_a_stem_has_its_songs_tags_and_grid(
    tmp_path: Path, name: str, lead: int
) -> None:
    """In the time of the stem's file, whatever the original was."""
    codec = CodecFacts("mp3", 44_100, 500, None, 1152, "D")
    song = track(tags=replace(TAGS, bpm=0.0, key=""), codec=codec)
    stem = write_stem(tmp_path, name)
    target = tmp_path / f"tagged{stem.suffix}"
    tagging.write_stem(song, "drums", stem, target)
    found = tags.read(target)
    assert (found.title, found.artist) == (f"{TAGS.title} (Drums)", "A")
    data = target.read_bytes()
    grid = data.partition(b"Serato BeatGrid\0")[2][:15]
    assert struct.unpack(">2xIffx", grid) == pytest.approx(
        (1, 0.25 + lead / 44_100, 128.0)
    )
    assert b"TBPM" in data
    assert b"F#m" in data
