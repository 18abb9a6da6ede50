"""Only junk between frames is left out; similar damage is refused."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
from av import AudioStream
from numpy.typing import NDArray

from serve_app.audio import frame_sizes
from serve_app.audio.decode import read_blocks
from serve_app.audio.limits import AudioLimits
from serve_app.audio.measure import measure
from serve_app.errors import UnreadableAudio
from tests import containers as made
from tests import media

LIMITS = AudioLimits(max_duration_seconds=60)
SECONDS = 2.0
AT = 40

RANDOM = np.random.default_rng(5)
HTTP = b"HTTP/1.0 200 OK\r\nicy-name: Radio\r\nicy-br: 192\r\n\r\n"
ICY = b"\x02" + b"StreamTitle='Nobody - Nothing';".ljust(32, b"\0")
TEXT = {
    "HTTP": HTTP,
    "ICY": ICY,
    "ICY with a long title": b"\x06StreamTitle='" + b"la " * 27 + b"';" + bytes(13),
    "an advertisement": b"<ad id=7>Buy now. </ad>" * 40,
    "prose": b"Nothing to do with music. " * 77,
}
TAGS = {
    "ID3v2 that says too little": b"ID3\x03\0\0\0\0\0\x14" + b"TIT2 and more" * 30,
    "ID3v2 that says too much": b"ID3\x03\0\0\0\0\x50\x09" + b"TIT2 and more" * 9,
    "ID3v2 that says far too much": b"ID3\x04\0\0\x09\x09\x09\x09" + b"TIT2" * 9,
    "Lyrics3 without its end": b"LYRICSBEGININD00002" + b"la la la " * 99,
    "APE without its footer": made.ape()[:-32],
}
BINARY = {
    "a few bytes": RANDOM.bytes(150),
    "bytes": RANDOM.bytes(1_000),
    "many bytes": RANDOM.bytes(30_000),
    "bytes that look like a frame": b"ab\xff\xfb\xb2\x00\xff\xf1\x50\x80" * 20,
}
JUNK = {**TEXT, **TAGS, **BINARY}

# Junk that is refused because it may be the rest of a frame.
SHORT = ("a few bytes", "bytes that look like a frame")
UNPROVEN = {"aac": tuple(BINARY), "mp2": SHORT, "mp3 untagged": SHORT}


@dataclass(frozen=True)
class Bare:
    """A song of bare frames; `first` may be a tag frame."""

    frames: list[bytes]

    def __bytes__(self) -> bytes:
        return b"".join(self.frames)

    def with_junk(self, junk: bytes, at: int = AT) -> bytes:
        return b"".join([*self.frames[:at], junk, *self.frames[at:]])


def bare(path: Path, kind: str) -> Bare:
    wave = media.song(SECONDS, 44_100)
    name = kind.split()[0]
    if name in ("mp2", "ac3", "eac3"):
        made.mux(path, name, [made.Track(name, wave, 44_100)])
    else:
        media.write_wave(path, wave, 44_100, name)
    data = path.read_bytes()
    start = data.index(b"\xff\xfb") if name == "mp3" else 0
    frames = list(split(data[start:], MEASURES[name]))
    return Bare(frames[1:] if kind == "mp3 untagged" else frames)


MEASURES = {
    "mp3": frame_sizes.mpeg_bytes,
    "mp2": frame_sizes.mpeg_bytes,
    "aac": frame_sizes.adts_bytes,
    "ac3": frame_sizes.ac3_bytes,
    "eac3": frame_sizes.ac3_bytes,
}
KINDS = ("mp3", "mp3 untagged", "mp2", "aac", "ac3", "eac3")


PROVEN = [
    (kind, name)
    for kind in KINDS
    for name in JUNK
    if name not in UNPROVEN.get(kind, ())
]


def split(data: bytes, measure: frame_sizes.Measure) -> Iterator[bytes]:
    while size_bytes := measure(data[:40]):
        yield data[:size_bytes]
        data = data[size_bytes:]


def by_ffmpeg(path: Path) -> int:
    """Return how many samples FFmpeg reads, skipping what it can't decode."""
    samples = 0
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        assert isinstance(stream, AudioStream)
        for packet in container.demux(stream):
            try:
                samples += sum(frame.samples for frame in packet.decode())
            except av.FFmpegError:
                continue
    return samples


def decoded(path: Path) -> NDArray[np.float32]:
    return np.concatenate(list(read_blocks(path)), axis=1)


def refused(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(UnreadableAudio) as caught:
        measure(path, LIMITS)
    with pytest.raises(UnreadableAudio):
        decoded(path)
    return caught.value.detail


@pytest.mark.parametrize(("kind", "name"), PROVEN)
def test_junk_between_frames_makes_no_difference(
    tmp_path: Path, kind: str, name: str
) -> None:
    song = bare(tmp_path / "song", kind)
    (tmp_path / "song").write_bytes(bytes(song))
    clean = decoded(tmp_path / "song")
    for suffix in ("", f".{kind[:3]}", ".txt"):
        path = tmp_path / f"junk{suffix}"
        path.write_bytes(song.with_junk(JUNK[name]))
        np.testing.assert_array_equal(decoded(path), clean)
        assert measure(path, LIMITS).samples == clean.shape[1]


@pytest.mark.parametrize(
    ("kind", "name"), [case for case in PROVEN if case[1] in ("HTTP", "prose", "bytes")]
)
def test_ffmpeg_reads_no_more_and_the_tag_says_no_less(
    tmp_path: Path, kind: str, name: str
) -> None:
    """FFmpeg drops an mp3's frame behind the junk."""
    path = tmp_path / "song"
    song = bare(path, kind)
    path.write_bytes(bytes(song))
    clean = by_ffmpeg(path)
    path.write_bytes(song.with_junk(JUNK[name]))
    samples = measure(path, LIMITS).samples
    assert samples == clean >= by_ffmpeg(path)
    if kind == "mp3":
        assert samples == round(SECONDS * 44_100)


@pytest.mark.parametrize("name", JUNK)
@pytest.mark.parametrize("kind", KINDS)
def test_junk_before_the_first_frame_makes_no_difference(
    tmp_path: Path, kind: str, name: str
) -> None:
    path = tmp_path / "song"
    song = bare(path, kind)
    path.write_bytes(bytes(song))
    clean = decoded(path)
    path.write_bytes(song.with_junk(JUNK[name], at=0))
    np.testing.assert_array_equal(decoded(path), clean)


@pytest.mark.parametrize("cut_bytes", [5, 100, 200])
@pytest.mark.parametrize("kind", ["mp3 untagged", "mp2", "aac", "ac3"])
def test_a_recording_that_begins_in_a_frame_begins_with_the_next(
    tmp_path: Path, kind: str, cut_bytes: int
) -> None:
    path = tmp_path / "song"
    song = bare(path, kind)
    path.write_bytes(b"".join(song.frames[1:]))
    later = measure(path, LIMITS).samples
    path.write_bytes(bytes(song)[cut_bytes:])
    assert measure(path, LIMITS).samples == later
    path.write_bytes(HTTP + bytes(song)[cut_bytes:])
    assert measure(path, LIMITS).samples == later


@pytest.mark.parametrize("name", [*TEXT, *BINARY])
@pytest.mark.parametrize("kind", KINDS)
def test_junk_behind_the_last_frame_makes_no_difference(
    tmp_path: Path, kind: str, name: str
) -> None:
    path = tmp_path / "song"
    song = bare(path, kind)
    path.write_bytes(bytes(song))
    clean = decoded(path)
    path.write_bytes(bytes(song) + JUNK[name])
    np.testing.assert_array_equal(decoded(path), clean)


@pytest.mark.parametrize("name", TAGS)
def test_a_broken_tag_behind_frames_that_are_counted_is_no_cut(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / "song"
    path.write_bytes(bytes(bare(path, "mp3")) + TAGS[name])
    assert measure(path, LIMITS).samples == round(SECONDS * 44_100)


@pytest.mark.parametrize("name", ["ICY", "an advertisement", "APE without its footer"])
@pytest.mark.parametrize("kind", KINDS)
def test_junk_in_many_places_makes_no_difference(
    tmp_path: Path, kind: str, name: str
) -> None:
    path = tmp_path / "song"
    song = bare(path, kind)
    path.write_bytes(bytes(song))
    clean = decoded(path)
    groups = [song.frames[at : at + 16] for at in range(0, len(song.frames), 16)]
    path.write_bytes(JUNK[name].join(b"".join(group) for group in groups))
    np.testing.assert_array_equal(decoded(path), clean)


@pytest.mark.parametrize("junk", [HTTP, TEXT["prose"], BINARY["many bytes"]])
def test_joined_mp3s_with_junk_between_are_each_as_long_as_they_say(
    tmp_path: Path, junk: bytes
) -> None:
    path = tmp_path / "song"
    one = bytes(bare(path, "mp3"))
    path.write_bytes(one + junk + one)
    assert measure(path, LIMITS).samples == 2 * round(SECONDS * 44_100)


@pytest.mark.parametrize("header", [b"RMP3data", b"RMP3data\xff\xff", b"NONEdata"])
def test_a_riff_header_that_is_no_wavs_is_junk(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "song"
    song = bytes(bare(path, "mp3"))
    path.write_bytes(
        b"RIFF\0\0\1\0" + header + b"\0\0\1\0" + song + b"LIST\4\0\0\0INFO"
    )
    assert measure(path, LIMITS).samples == round(SECONDS * 44_100)


# Damage.


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in UNPROVEN for name in UNPROVEN[kind]]
)
def test_what_may_be_the_rest_of_a_frame_is_damage(
    tmp_path: Path, kind: str, name: str
) -> None:
    song = bare(tmp_path / "song", kind)
    message = refused(tmp_path / "song", song.with_junk(JUNK[name]))
    assert "they may be the rest of a frame that lost bytes" in message


def overwritten(data: bytes, start: int, size: int, fill: bytes | None = None) -> bytes:
    put = np.random.default_rng(start).bytes(size) if fill is None else fill * size
    return data[:start] + put + data[start + size :]


@pytest.mark.parametrize("fill", [None, b"\0"], ids=["bytes", "zeros"])
@pytest.mark.parametrize("size", [1_500, 4_096, 9_000])
@pytest.mark.parametrize("start", [15_000, 20_480, 27_111])
@pytest.mark.parametrize("kind", KINDS)
def test_frames_that_were_overwritten_are_damage(
    tmp_path: Path, kind: str, start: int, size: int, fill: bytes | None
) -> None:
    data = bytes(bare(tmp_path / "song", kind))
    message = refused(tmp_path / "song", overwritten(data, start, size, fill))
    assert "damaged" in message
    assert "ffmpeg -err_detect ignore_err -i song" in message


@pytest.mark.parametrize("frames", [1, 2, 7])
@pytest.mark.parametrize("kind", ["mp3", "mp3 untagged", "mp2", "ac3"])
@pytest.mark.parametrize("fill", [None, b"\0"], ids=["bytes", "zeros"])
def test_frames_that_were_overwritten_from_border_to_border_are_damage(
    tmp_path: Path, kind: str, frames: int, fill: bytes | None
) -> None:
    song = bare(tmp_path / "song", kind)
    start = sum(map(len, song.frames[:AT]))
    size = sum(map(len, song.frames[AT : AT + frames]))
    data = overwritten(bytes(song), start, size, fill)
    message = refused(tmp_path / "song", data)
    assert f"{size} bytes between its frames are not audio" in message
    assert re.search(r"at about [01]\.\d s: ", message)


@pytest.mark.parametrize("size", [100, 700, 4_096])
@pytest.mark.parametrize("start", [15_000, 20_480, 27_111])
@pytest.mark.parametrize("kind", KINDS)
def test_bytes_that_were_lost_are_damage(
    tmp_path: Path, kind: str, start: int, size: int
) -> None:
    data = bytes(bare(tmp_path / "song", kind))
    message = refused(tmp_path / "song", data[:start] + data[start + size :])
    assert "ffmpeg -err_detect ignore_err -i song" in message


@pytest.mark.parametrize("junk", [ICY, b"Buy now", b"\0"])
@pytest.mark.parametrize("inside", [60, 200, 300])
@pytest.mark.parametrize("kind", KINDS)
def test_junk_within_a_frame_is_damage(
    tmp_path: Path, kind: str, inside: int, junk: bytes
) -> None:
    """FFmpeg decodes such a frame to noise."""
    song = bare(tmp_path / "song", kind)
    broken = song.frames[AT][:inside] + junk + song.frames[AT][inside:]
    data = b"".join([*song.frames[:AT], broken, *song.frames[AT + 1 :]])
    assert "damaged" in refused(tmp_path / "song", data)


@pytest.mark.parametrize("missing", [1, 2, 30])
def test_a_tag_that_states_more_frames_is_believed(
    tmp_path: Path, missing: int
) -> None:
    song = bare(tmp_path / "song", "mp3")
    frames = [*song.frames[:AT], HTTP, *song.frames[AT + missing :]]
    message = refused(tmp_path / "song", b"".join(frames))
    assert f"{missing} of its {len(song.frames) - 1} frames are missing" in message


@pytest.mark.parametrize("left", [50, 200, 400])
def test_recordings_joined_in_a_frame_are_refused_with_advice(
    tmp_path: Path, left: int
) -> None:
    song = bare(tmp_path / "song", "mp3 untagged")
    frames = [*song.frames[:AT], song.frames[AT][:left], *song.frames[:AT]]
    message = refused(tmp_path / "song", b"".join(frames))
    assert "at about 1.0 s" in message
    assert "they begin with an incomplete frame" in message
    assert message.endswith("ffmpeg -err_detect ignore_err -i song -vn repaired.flac")


# FLAC.


def flac(path: Path) -> tuple[bytes, list[int]]:
    """Return a FLAC and where its frames begin."""
    media.write_wave(path, media.song(SECONDS), 44_100, "flac")
    data = path.read_bytes()
    with av.open(str(path)) as container:
        sizes = [packet.size for packet in container.demux() if packet.size]
    return data, list(len(data) - np.cumsum(sizes[::-1])[::-1])


@pytest.mark.parametrize("name", JUNK)
@pytest.mark.parametrize("frame", [None, 0, 1, 9])
def test_junk_in_a_flac_makes_no_difference(
    tmp_path: Path, name: str, frame: int | None
) -> None:
    path = tmp_path / "song"
    data, starts = flac(path)
    clean = decoded(path)
    at = 0 if frame is None else starts[frame]
    path.write_bytes(data[:at] + JUNK[name] + data[at:])
    np.testing.assert_array_equal(decoded(path), clean)
    assert measure(path, LIMITS).samples == round(SECONDS * 44_100)


@pytest.mark.parametrize("frame", [0, 11, -1])
@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame[:500] + HTTP + frame[500:],
        lambda frame: frame[:500] + bytes(300) + frame[800:],
        lambda frame: HTTP,
        lambda frame: frame[:900] + b"\0" + frame[901:],
    ],
    ids=["junk within", "zeros within", "junk instead", "a byte"],
)
def test_a_flacs_broken_frame_is_damage(
    tmp_path: Path, frame: int, change: Callable[[bytes], bytes]
) -> None:
    data, starts = flac(tmp_path / "song")
    start, end = starts[frame], [*starts, len(data)][frame % len(starts) + 1]
    broken = data[:start] + change(data[start:end]) + data[end:]
    assert "ffmpeg" in refused(tmp_path / "song", broken)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "fake", [b"\xff\xfb\x90\x00", b"\xff\xf1\x50\x80", b"\x0b\x77"]
)
def test_a_file_of_what_only_looks_like_frames_costs_little(
    tmp_path: Path, fake: bytes
) -> None:
    song = bytes(bare(tmp_path / "song", "mp3 untagged"))
    refused(tmp_path / "song", song + fake * 1_000_001 + song[:-9])
