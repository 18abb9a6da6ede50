"""Tags, zeros and whole songs between frames: only audio is read, and all of it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from serve_app.audio.decode import read_blocks
from serve_app.audio.limits import AudioLimits
from serve_app.audio.measure import measure
from serve_app.errors import UnreadableAudio
from tests import containers as made
from tests import media

LIMITS = AudioLimits(max_duration_seconds=60)
LARGE_BYTES = 3 * 2**20

# What `song_bytes` can write beyond `media.KINDS`: container and codec.
MUXED = {"tta": ("tta", "tta"), "ac3": ("ac3", "ac3"), "wv": ("wv", "wavpack")}
TAGGED = ("flac", "aac", "tta", "mp3", "wav16", "aiff", "ogg", "m4a", "ac3", "wv")


def song_bytes(
    path: Path, kind: str, seconds: float = 1.0, rate: int = 44_100, channels: int = 2
) -> bytes:
    wave = media.song(seconds, rate, channels)
    if kind in MUXED:
        container, codec = MUXED[kind]
        made.mux(path, container, [made.Track(codec, wave, rate)])
    else:
        media.write_wave(path, wave, rate, kind)
    return path.read_bytes()


def decoded(path: Path) -> NDArray[np.float32]:
    return np.concatenate(list(read_blocks(path)), axis=1)


@pytest.mark.parametrize("kind", TAGGED)
@pytest.mark.parametrize("suffix", ["", ".flac", ".mp3"])
def test_a_large_tag_in_front_makes_no_difference(
    tmp_path: Path, kind: str, suffix: str
) -> None:
    """Uploads have no suffix, and FFmpeg probes only the first megabyte."""
    data = song_bytes(tmp_path / "song", kind)
    whole = decoded(tmp_path / "song")
    path = tmp_path / f"tagged{suffix}"
    path.write_bytes(made.id3v2(LARGE_BYTES) + data)
    np.testing.assert_array_equal(decoded(path), whole)
    assert measure(path, LIMITS).samples == whole.shape[1]


@pytest.mark.parametrize("kind", TAGGED)
@pytest.mark.parametrize(
    "behind",
    [made.id3v1(), made.ape(), made.ape() + made.id3v1(), made.id3v2(LARGE_BYTES)],
    ids=["ID3v1", "APE", "both", "ID3v2"],
)
def test_a_tag_behind_makes_no_difference(
    tmp_path: Path, kind: str, behind: bytes
) -> None:
    path = tmp_path / "song"
    data = song_bytes(path, kind)
    whole = decoded(path)
    path.write_bytes(data + behind)
    np.testing.assert_array_equal(decoded(path), whole)


BETWEEN = {
    "nothing": b"",
    "ID3v2": made.id3v2(2_000),
    "large ID3v2": made.id3v2(LARGE_BYTES),
    "ID3v1": made.id3v1(),
    "APE and ID3v1": made.ape() + made.id3v1(),
    "ID3v1 and ID3v2": made.id3v1() + made.id3v2(300),
    "zeros": bytes(5_000),
}


@pytest.mark.parametrize("between", BETWEEN)
def test_joined_mp3s_are_each_as_long_as_they_say(tmp_path: Path, between: str) -> None:
    path = tmp_path / "song"
    first, second = song_bytes(path, "mp3", 1.3), song_bytes(path, "mp3", 0.7)
    path.write_bytes(first + BETWEEN[between] + second + BETWEEN[between])
    assert measure(path, LIMITS).samples == 88_200


@pytest.mark.parametrize(("rate", "channels"), [(48_000, 2), (44_100, 1), (32_000, 1)])
def test_an_mp3_of_another_kind_is_brought_to_the_first(
    tmp_path: Path, rate: int, channels: int
) -> None:
    path = tmp_path / "song"
    first = song_bytes(path, "mp3", 1.0)
    second = song_bytes(path, "mp3", 1.0, rate, channels)
    path.write_bytes(first + made.id3v2(300) + second)
    assert measure(path, LIMITS).samples == 88_200
    assert decoded(path)[:, 44_100:].std() == pytest.approx(0.1, abs=0.1)


@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (48_000, 2), (44_100, 1)])
def test_joined_aac_is_read_to_its_end(
    tmp_path: Path, between: str, rate: int, channels: int
) -> None:
    path = tmp_path / "song"
    first = song_bytes(path, "aac", 1.0)
    first_samples = measure(path, LIMITS).samples
    second = song_bytes(path, "aac", 1.0, rate, channels)
    second_samples = measure(path, LIMITS).samples
    path.write_bytes(first + BETWEEN[between] + second)
    total = first_samples + round(second_samples * 44_100 / rate)
    assert measure(path, LIMITS).samples == total


@pytest.mark.parametrize("between", ["nothing", "large ID3v2", "ID3v1"])
@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (48_000, 2), (44_100, 1)])
def test_joined_flacs_are_read_to_their_end(
    tmp_path: Path, between: str, rate: int, channels: int
) -> None:
    path = tmp_path / "song"
    first = song_bytes(path, "flac", 1.0)
    second = song_bytes(path, "flac", 1.0, rate, channels)
    path.write_bytes(first + BETWEEN[between] + second)
    assert measure(path, LIMITS).samples == 88_200


@pytest.mark.parametrize("kind", ["mp3", "flac", "aac", "ac3"])
def test_the_last_of_joined_songs_must_be_whole_too(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "song"
    data = song_bytes(path, kind)
    path.write_bytes(data + made.id3v2(300) + data[:-150])
    with pytest.raises(UnreadableAudio, match="ffmpeg"):
        measure(path, LIMITS)


def cut_in_front(data: bytes) -> bytes:
    """Drop a FLAC's first frame, as players that cut without decoding do."""
    start = data.index(b"\xff\xf8", 42)
    return data[:start] + data[data.index(b"\xff\xf8", start + 100) :]


def test_a_flac_that_starts_later_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "song"
    data = song_bytes(path, "flac", 2.0)
    path.write_bytes(cut_in_front(data))
    _, plain = made.decoded_by_ffmpeg(path)
    assert measure(path, LIMITS).samples == plain < 88_200


@pytest.mark.parametrize(
    "change",
    [lambda data: data[:-1], lambda data: data[: len(data) // 2 + 1]],
    ids=["a byte", "half"],
)
@pytest.mark.parametrize("kind", ["aac", "ac3", "wv"])
def test_a_frame_that_is_not_whole_is_a_cut(
    tmp_path: Path, kind: str, change: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "song"
    path.write_bytes(change(song_bytes(path, kind)))
    with pytest.raises(UnreadableAudio, match=r"cut short.*ffmpeg -i"):
        measure(path, LIMITS)


def begin(serial: int) -> made.Page:
    return made.Page(2, 0, serial, 0, b"\x01", b"x")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"fLaC\0\0\0\x22" * 50_000, "more than 1000 songs"),
        (
            made.ogg([begin(1), made.Page(0, 9, 1, 1, b"\1", b"x")]) * 2_000,
            "1000 songs",
        ),
        (made.ogg(map(begin, range(2_000))), "1000 parallel streams"),
        (made.id3v2(1) * 20_000, "not an audio file"),
        (b"RIFF\0\0\0\0WAVE" + b"JUNK\0\0\0\0" * 200_000, "not an audio file"),
    ],
    ids=["FLAC", "Ogg", "Ogg streams", "tags", "chunks"],
)
def test_a_file_of_nothing_but_beginnings_is_refused(
    tmp_path: Path, data: bytes, words: str
) -> None:
    (tmp_path / "song").write_bytes(data)
    with pytest.raises(UnreadableAudio, match=words):
        measure(tmp_path / "song", LIMITS)


@pytest.mark.timeout(20)
def test_chunks_that_lead_nowhere_are_followed_once(tmp_path: Path) -> None:
    """Otherwise each start would walk through all chunks behind it."""
    fmt = made.chunk(b"fmt ", made.wav_format(bits=16))
    head = made.riff(fmt, b"data\4\0\0\0")
    data = bytes(4) + b"\1" * 4 + b"LIST\0\0\0\0" * 50_000 + b"\1" * 8
    (tmp_path / "song").write_bytes(head + data)
    assert measure(tmp_path / "song", LIMITS).samples == len(data) // 4
