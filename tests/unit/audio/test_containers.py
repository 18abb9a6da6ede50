"""Supported containers are read completely, and refused if truncated."""

import re
import shutil
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import av
import pytest

from serve_app.audio.decode import read_blocks
from serve_app.audio.limits import AudioLimits
from serve_app.audio.measure import measure
from serve_app.errors import UnreadableAudio
from tests import containers as made
from tests import media

LIMITS = AudioLimits(max_duration_seconds=60)
SECONDS = 2.0
SAMPLES = 96_000

# container, audio codec, video codec, and samples that its frames may add.
MUXED = {
    "ts mp2": ("mpegts", "mp2", "mpeg2video", 1_152),
    "ts aac": ("mpegts", "aac", None, 3_072),
    "ts ac3": ("mpegts", "ac3", "mpeg2video", 3_072),
    "ts opus": ("mpegts", "libopus", "mpeg2video", 1_920),
    "vob mp2": ("vob", "mp2", "mpeg2video", 1_152),
    "vob ac3": ("vob", "ac3", "mpeg2video", 3_072),
    "dvd ac3": ("dvd", "ac3", "mpeg2video", 3_072),
    "mpg mp2": ("mpeg", "mp2", "mpeg1video", 1_152),
    "voc 8": ("voc", "pcm_u8", None, 0),
    "voc 16": ("voc", "pcm_s16le", None, 0),
    "mxf 16": ("mxf", "pcm_s16le", "mpeg2video", 0),
    "mxf 24": ("mxf", "pcm_s24le", "mpeg2video", 0),
    "wtv mp2": ("wtv", "mp2", "mpeg2video", 1_152),
    "3gp aac": ("3gp", "aac", None, 0),
    "mka flac": ("matroska", "flac", None, 0),
    "mka opus": ("matroska", "libopus", None, 0),
    "eac3": ("eac3", "eac3", None, 3_072),
    "w64": ("w64", "pcm_s16le", None, 0),
    "caf": ("caf", "pcm_s16le", None, 0),
    "caf alac": ("caf", "alac", None, 0),
    "au": ("au", "pcm_s16be", None, 0),
    "wv": ("wv", "wavpack", None, 0),
    "tta": ("tta", "tta", None, 0),
    "flv": ("flv", "aac", "flv1", 3_072),
    "avi": ("avi", "mp2", "mpeg4", 1_152),
    "asf mp2": ("asf", "mp2", None, 2_304),
}
# FFmpeg's decoder returns fewer samples of these than were encoded.
SHORTENED = {
    "wma": ("asf", "wmav2", None, 0),
    "wmv": ("asf", "wmav2", "wmv2", 0),
}
# FFmpeg's experimental encoders, and encoders missing in PyAV's wheels.
BY_PROGRAM = {
    "dts": ("-ac", "2", "-c:a", "dca", "-strict", "-2", "-f", "dts"),
    "ts dts": ("-ac", "2", "-c:a", "dca", "-strict", "-2", "-f", "mpegts"),
    "m2ts": ("-c:a", "ac3", "-mpegts_m2ts_mode", "1", "-f", "mpegts"),
    "thd": ("-c:a", "truehd", "-strict", "-2", "-f", "truehd"),
    "mlp": ("-c:a", "mlp", "-strict", "-2", "-f", "mlp"),
    "gsm": ("-ar", "8000", "-ac", "1", "-c:a", "libgsm", "-f", "gsm"),
    "opatom": ("-c:a", "pcm_s16le", "-f", "mxf_opatom"),
    "spx": ("-ar", "16000", "-c:a", "libspeex", "-f", "ogg"),
}
# Their last bytes are not audio.
INDEX_LAST = ("avi", "wtv mp2")
needs_ffmpeg = pytest.mark.skipif(
    shutil.which("ffmpeg") is None, reason="ffmpeg is not installed"
)


def write_muxed(path: Path, name: str) -> int:
    """Write a song; return how many samples its frames may add to it."""
    container, codec, video, slack = {**MUXED, **SHORTENED}[name]
    wave = media.song(SECONDS, 48_000)
    made.mux(path, container, [made.Track(codec, wave)], video_codec=video)
    return slack


def run_ffmpeg(path: Path, arguments: Sequence[str]) -> None:
    source = f"sine=440:d={SECONDS}:r=48000"
    command = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", source]
    subprocess.run([*command, *arguments, path], check=True)


def refused(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(UnreadableAudio) as caught:
        measure(path, LIMITS)
    return caught.value.detail


@pytest.mark.parametrize("name", MUXED)
def test_a_song_is_read_whole_from_each_container(tmp_path: Path, name: str) -> None:
    path = tmp_path / "song"
    slack = write_muxed(path, name)
    facts = measure(path, LIMITS)
    assert SAMPLES <= facts.samples <= SAMPLES + slack
    assert facts.peak == pytest.approx(0.5, abs=0.2)
    _, plain = made.decoded_by_ffmpeg(path)
    # FFmpeg returns an mp4's whole last packet, past the end that the file states.
    assert plain - facts.samples in range(1024 if name.startswith("3gp") else 1)


@needs_ffmpeg
@pytest.mark.parametrize("name", BY_PROGRAM)
def test_what_only_the_program_writes_is_read_whole(tmp_path: Path, name: str) -> None:
    path = tmp_path / "song"
    run_ffmpeg(path, BY_PROGRAM[name])
    facts = measure(path, LIMITS)
    assert (facts.sample_rate, facts.samples) == made.decoded_by_ffmpeg(path)
    assert facts.duration_seconds == pytest.approx(SECONDS, abs=0.08)


@pytest.mark.parametrize("suffix", ["", ".mp3", ".wav", ".txt"])
@pytest.mark.parametrize("name", ["ts mp2", "vob ac3", "voc 16", "mxf 16", "wtv mp2"])
def test_a_suffix_makes_no_difference(tmp_path: Path, name: str, suffix: str) -> None:
    write_muxed(tmp_path / "song", name)
    whole = measure(tmp_path / "song", LIMITS)
    (tmp_path / f"other{suffix}").write_bytes((tmp_path / "song").read_bytes())
    assert measure(tmp_path / f"other{suffix}", LIMITS) == whole


def amr(samples: int, *, is_wide: bool = False) -> bytes:
    """Return frames of silence at 12.2, or 23.85 kbit/s, of 20 ms each."""
    magic, head, size = (
        (b"#!AMR-WB\n", b"\x44", 61) if is_wide else (b"#!AMR\n", b"\x3c", 32)
    )
    frames = samples // (320 if is_wide else 160)
    return magic + head.ljust(size, b"\0") * frames


@pytest.mark.parametrize(("is_wide", "rate"), [(False, 8_000), (True, 16_000)])
def test_what_phones_record_is_read_whole(
    tmp_path: Path, is_wide: bool, rate: int
) -> None:
    path = tmp_path / "song"
    data = amr(3 * rate, is_wide=is_wide)
    path.write_bytes(data)
    facts = measure(path, LIMITS)
    assert (facts.sample_rate, facts.samples) == (rate, 3 * rate)
    assert "cut short" in refused(path, data[:-5])


@pytest.mark.parametrize("name", SHORTENED)
def test_what_ffmpeg_shortens_is_as_long_as_it_gives(tmp_path: Path, name: str) -> None:
    path = tmp_path / "song"
    write_muxed(path, name)
    with av.open(str(path)) as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
    assert measure(path, LIMITS).samples == samples


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.97])
@pytest.mark.parametrize("name", [*MUXED, *SHORTENED])
def test_a_cut_container_is_refused(tmp_path: Path, name: str, keep: float) -> None:
    path = tmp_path / "song"
    write_muxed(path, name)
    data = path.read_bytes()
    if name in INDEX_LAST and keep == 0.97:
        whole = measure(path, LIMITS)
        path.write_bytes(data[: int(len(data) * keep)])
        assert measure(path, LIMITS) == whole
        return
    # A cut between two packets or sectors can't be detected, so cut inside one.
    refused(path, data[: int(len(data) * keep) | 1])


# A cluster's header as FFmpeg writes it here, and as browsers do: of unknown size.
CLUSTER = re.compile(rb"\x1f\x43\xb6\x75[\x20-\x3f]..", re.DOTALL)
OPEN_CLUSTER = b"\x1f\x43\xb6\x75\x01" + b"\xff" * 7


def live(path: Path, kind: str) -> bytes:
    """Return a file written as a stream, without sizes known in advance."""
    codec = "flac" if kind == "mka" else "libopus"
    container = "matroska" if kind == "mka" else "webm"
    made.mux(
        path,
        container,
        [made.Track(codec, media.song(6 * SECONDS, 48_000))],
        video_codec="libvpx" if kind == "video" else None,
        options={"live": "1", "cluster_time_limit": "2000"},
    )
    data = path.read_bytes()
    return CLUSTER.sub(OPEN_CLUSTER, data) if kind == "browser" else data


LIVE = ["webm", "mka", "video", "browser"]


@pytest.mark.parametrize("tail", [b"", made.id3v1(), bytes(999)])
@pytest.mark.parametrize("kind", LIVE)
def test_what_a_browser_records_is_read_whole(
    tmp_path: Path, kind: str, tail: bytes
) -> None:
    path = tmp_path / "song"
    path.write_bytes(live(path, kind) + tail)
    assert measure(path, LIMITS).samples == pytest.approx(6 * SAMPLES, abs=2_000)


@pytest.mark.parametrize("kind", LIVE)
def test_what_a_browser_records_is_refused_where_a_block_breaks_off(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "song"
    data = live(path, kind)
    last = data.rindex(OPEN_CLUSTER[:4])
    ends = [int(len(data) * keep) for keep in (0.3, 0.6, 0.97)]
    ends += [last + 2, last + 4, last + 5, len(data) - 1]
    for end in ends:
        assert "cut short" in refused(path, data[:end]), end


@needs_ffmpeg
@pytest.mark.parametrize("keep", [0.3, 0.6, 0.97])
@pytest.mark.parametrize("name", sorted(set(BY_PROGRAM) - {"gsm"}))
def test_a_cut_file_of_the_program_is_refused(
    tmp_path: Path, name: str, keep: float
) -> None:
    path = tmp_path / "song"
    run_ffmpeg(path, BY_PROGRAM[name])
    data = path.read_bytes()
    refused(path, data[: int(len(data) * keep) | 1])


@needs_ffmpeg
def test_a_gsm_that_ends_in_a_frame_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "song"
    run_ffmpeg(path, BY_PROGRAM["gsm"])
    assert "cut short" in refused(path, path.read_bytes()[:-1])


@pytest.mark.parametrize(
    "tail", [made.id3v1(), b"TAG!" * 100, bytes(999), b"\0\0\0\1mdat"]
)
@pytest.mark.parametrize("kind", ["m4a", "mp4", "alac"])
def test_bytes_behind_an_mp4_are_no_cut(tmp_path: Path, kind: str, tail: bytes) -> None:
    path = tmp_path / "song"
    media.write_song(path, kind)
    whole = measure(path, LIMITS)
    path.write_bytes(path.read_bytes() + tail[: -8 if tail.endswith(b"mdat") else None])
    assert measure(path, LIMITS) == whole


@pytest.mark.parametrize(
    ("container", "codec", "exact"),
    [
        ("mp4", "aac", True),
        ("mov", "pcm_s16le", True),
        ("matroska", "aac", False),
        ("matroska", "flac", True),
        ("mpegts", "mp2", False),
        ("flv", "aac", False),
    ],
)
@pytest.mark.parametrize("start_seconds", [0.7, 50.0])
def test_sound_that_starts_late_is_read_to_its_end(
    tmp_path: Path, container: str, codec: str, exact: bool, start_seconds: float
) -> None:
    path = tmp_path / "song"
    track = made.Track(codec, media.song(SECONDS, 48_000), start_seconds=start_seconds)
    made.mux(path, container, [track])
    facts = measure(path, LIMITS)
    _, plain = made.decoded_by_ffmpeg(path)
    assert 0 <= plain - facts.samples < (1024 if container == "mp4" else 1)
    assert SAMPLES <= facts.samples <= SAMPLES + (1024 if exact else 3 * 1024)


def test_a_wavs_and_an_mp4s_own_rules_name_no_other_file(tmp_path: Path) -> None:
    """An mp4 may refer to another file for its audio: the reference is not followed."""
    media.write_song(tmp_path / "secret.wav")
    path = tmp_path / "song"
    media.write_song(path, "m4a")
    data = path.read_bytes()
    name = b"file:" + str(tmp_path / "secret.wav").encode() + b"\0"
    old = struct.pack(">I4sI", 12, b"url ", 1)
    assert old in data
    new = struct.pack(">I4sI", 12 + len(name), b"url ", 0) + name
    path.write_bytes(data.replace(old, new))
    try:
        blocks = list(read_blocks(path))
    except UnreadableAudio:
        return
    assert sum(block.shape[1] for block in blocks) <= 88_200
