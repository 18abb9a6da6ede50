"""The layout is that of Native Instruments' "Stem File Specification"."""

import json
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from serve_app.audio.decode import read_blocks
from serve_app.stems.exports import mp4_boxes, stem_mp4
from serve_app.stems.exports.tags import Cover, Tags
from tests import media
from tests.signals import offset_samples
from tests.unit.stems.exports.songs import PNG, RATE, track

SAMPLES = 100_003
NAMES = ("mix", "drums", "bass", "guitar", "piano", "vocals")

needs_ffmpeg = pytest.mark.skipif(
    shutil.which("ffmpeg") is None, reason="ffmpeg is not installed"
)


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("songs")
    for seed, name in enumerate(NAMES):
        wave = 0.5 * media.song(SAMPLES / RATE, RATE, seed=seed)
        media.write_wave(folder / f"{name}.wav", wave, RATE)
    return {name: folder / f"{name}.wav" for name in NAMES}


@pytest.fixture(scope="module", params=["aac", "alac"])
def written(
    request: pytest.FixtureRequest,
    songs: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, Path]:
    codec = str(request.param)
    target = tmp_path_factory.mktemp(codec) / "song.stem.mp4"
    tags = Tags(title="Sóng", artist="A", track="3/12", cover=Cover("image/png", PNG))
    song = track(samples=SAMPLES, bpm=127.95, tags=tags)
    stems = {name: path for name, path in songs.items() if name != "mix"}
    stem_mp4.write(song, songs["mix"], stems, target, codec=codec)
    assert list(target.parent.iterdir()) == [target]
    return codec, target


def wave(path: Path) -> NDArray[np.float32]:
    return np.concatenate(list(read_blocks(path)), axis=1)


def by_pyav(path: Path, index: int) -> NDArray[np.float32]:
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("fltp")
        frames = [
            whole.to_ndarray()
            for frame in container.decode(audio=index)
            for whole in resampler.resample(frame)
        ]
    return np.concatenate(frames, axis=1)


def by_ffmpeg(path: Path, index: int) -> int:
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-map", f"0:a:{index}"]
    raw = subprocess.run(
        [*command, "-f", "s16le", "-"], capture_output=True, check=True
    ).stdout
    return len(raw) // 4


def content(data: bytes, *path: bytes) -> list[bytes]:
    """Return the contents of all boxes at this path."""
    found = [data]
    for kind in path:
        found = [
            inner
            for outer in found
            for name, inner in mp4_boxes.boxes(outer)
            if name == kind
        ]
    return found


def test_there_are_five_streams_in_the_order_of_the_format(
    written: tuple[str, Path], songs: dict[str, Path]
) -> None:
    codec, path = written
    rest = wave(songs["guitar"]) + wave(songs["piano"])
    truth = [wave(songs[name]) for name in ("mix", "drums", "bass")]
    truth += [rest, wave(songs["vocals"])]
    with av.open(str(path)) as container:
        names = [stream.codec_context.name for stream in container.streams.audio]
    assert names == [codec] * 5
    for index, expected in enumerate(truth):
        out = by_pyav(path, index)
        if codec == "alac":
            np.testing.assert_allclose(out, expected, atol=2.0**-15)
        else:
            assert offset_samples(out[:, :SAMPLES], expected) == 0


def test_all_streams_state_the_samples_of_the_song(written: tuple[str, Path]) -> None:
    """The edit list leaves out the encoder's delay and what it put behind."""
    codec, path = written
    lists = content(path.read_bytes(), b"moov", b"trak", b"edts", b"elst")
    delay = 1024 if codec == "aac" else 0
    assert [struct.unpack(">IIIi", one[:16]) for one in lists] == [
        (0, 1, SAMPLES, delay)
    ] * 5
    assert wave(path).shape == (2, SAMPLES)


@needs_ffmpeg
def test_decoders_count_the_same_samples_in_all_streams(
    written: tuple[str, Path],
) -> None:
    codec, path = written
    counts = {by_ffmpeg(path, index) for index in range(5)}
    counts |= {by_pyav(path, index).shape[1] for index in range(5)}
    if codec == "alac":
        assert counts == {SAMPLES}
    else:
        # FFmpeg gives the last packet whole.
        [count] = counts
        assert 0 <= count - SAMPLES < 1024


def test_only_the_mix_is_enabled(written: tuple[str, Path]) -> None:
    headers = content(written[1].read_bytes(), b"moov", b"trak", b"tkhd")
    assert [header[3] & 1 for header in headers] == [1, 0, 0, 0, 0]


def test_the_stem_box_names_and_colours_four_stems(written: tuple[str, Path]) -> None:
    [data] = content(written[1].read_bytes(), b"moov", b"udta", b"stem")
    manifest = json.loads(data)
    assert manifest.keys() == {"version", "mastering_dsp", "stems"}
    assert manifest["version"] == 1
    assert [stem["name"] for stem in manifest["stems"]] == [
        *("Drums", "Bass", "Other", "Vocals")
    ]
    assert all(len(stem["color"]) == 7 for stem in manifest["stems"])
    mastering = manifest["mastering_dsp"]
    assert {name: unit["enabled"] for name, unit in mastering.items()} == {
        "compressor": False,
        "limiter": False,
    }


def test_tags_and_cover_are_in_it(written: tuple[str, Path]) -> None:
    with av.open(str(written[1])) as container:
        found = dict(container.metadata)
        [picture] = container.streams.video
        assert bytes(next(container.demux(picture))) == PNG
    names = ("title", "artist", "track", "BPM", "initialkey")
    assert [found[name] for name in names] == ["Sóng", "A", "3/12", "127.95", "F#m"]
    [labels] = content(written[1].read_bytes(), b"moov", b"udta", b"meta")
    tempo = labels.partition(b"tmpo")[2]
    assert tempo[16:18] == bytes([0, 128])


def test_the_mix_gets_the_gain_that_the_stems_got(
    tmp_path: Path, songs: dict[str, Path]
) -> None:
    stems = {name: path for name, path in songs.items() if name != "mix"}
    target = tmp_path / "song.stem.mp4"
    stem_mp4.write(
        track(samples=SAMPLES), songs["mix"], stems, target, codec="alac", mix_gain=0.5
    )
    np.testing.assert_allclose(wave(target), 0.5 * wave(songs["mix"]), atol=2.0**-15)


@pytest.mark.parametrize("names", [("vocals", "other"), ("drums", "bass", "vocals")])
def test_stems_that_do_not_fit_are_refused_by_name(
    tmp_path: Path, songs: dict[str, Path], names: tuple[str, ...]
) -> None:
    stems = dict.fromkeys(names, songs["bass"])
    with pytest.raises(ValueError, match="drums, bass, other, vocals; this song has"):
        stem_mp4.write(track(), songs["mix"], stems, tmp_path / "song.stem.mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_codec_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='"codec" must be one of aac, alac, got'):
        stem_mp4.write(track(), tmp_path, {}, tmp_path / "x", codec="mp3")


def test_a_rate_that_aac_has_not_is_refused_and_alac_takes_it(tmp_path: Path) -> None:
    media.write_wave(tmp_path / "a.wav", media.song(0.1, 192_000), 192_000)
    stems = dict.fromkeys(stem_mp4.STEMS, tmp_path / "a.wav")
    song = track(samples=19_200, sample_rate=192_000)
    target = tmp_path / "song.stem.mp4"
    with pytest.raises(
        ValueError, match=r"AAC does not support 192000 Hz\. .*\"stem\.mp4-alac\""
    ):
        stem_mp4.write(song, tmp_path / "a.wav", stems, target)
    stem_mp4.write(song, tmp_path / "a.wav", stems, target, codec="alac")
    assert wave(target).shape == (2, 19_200)


@pytest.mark.parametrize(
    ("mix_hz", "stems_hz"), [(44_100, 48_000), (8_000, 48_000), (96_000, 48_000)]
)
def test_stems_at_another_rate_are_brought_to_the_mixs(
    tmp_path: Path, mix_hz: int, stems_hz: int
) -> None:
    """Opus has 48 kHz only, and mp3 and AAC have no rate of a studio."""
    samples = int(2.3 * mix_hz) + 1
    sound = 0.5 * media.song(3.0, mix_hz, seed=1)[:, :samples]
    media.write_wave(tmp_path / "mix.wav", sound, mix_hz)
    rough = soxr.resample(sound.T, mix_hz, stems_hz).T
    media.write_wave(tmp_path / "stem.wav", rough, stems_hz)
    stems = dict.fromkeys(stem_mp4.STEMS, tmp_path / "stem.wav")
    target = tmp_path / "song.stem.mp4"
    song = track(samples=samples, sample_rate=mix_hz)
    stem_mp4.write(song, tmp_path / "mix.wav", stems, target, codec="alac")
    for index in range(5):
        out = by_pyav(target, index)
        assert out.shape == (2, samples)
        assert offset_samples(out, sound) == 0


@pytest.mark.parametrize("samples", [SAMPLES - 1, SAMPLES + 70_000])
def test_stems_of_another_length_are_refused(
    tmp_path: Path, songs: dict[str, Path], samples: int
) -> None:
    stems = {name: path for name, path in songs.items() if name != "mix"}
    media.write_wave(tmp_path / "odd.wav", media.song(samples / RATE, RATE), RATE)
    stems["bass"] = tmp_path / "odd.wav"
    with pytest.raises(ValueError, match="differ in length"):
        stem_mp4.write(track(), songs["mix"], stems, tmp_path / "song.stem.mp4")
    assert list(tmp_path.iterdir()) == [tmp_path / "odd.wav"]


@pytest.mark.parametrize("limit", [2**32, 1_000])
def test_chunks_are_found_wherever_the_index_is(
    written: tuple[str, Path], tmp_path: Path, limit: int, monkeypatch: Any
) -> None:
    """In files over 4 GB the index follows the sound: offsets have 32 bits."""
    monkeypatch.setattr(mp4_boxes, "_OFFSET_LIMIT", limit)
    target = tmp_path / "copy.mp4"
    mp4_boxes.rewrite(written[1], target, b"")
    kinds = [kind for kind, _ in mp4_boxes.boxes(target.read_bytes())]
    ends = [b"moov", b"mdat"] if limit > 1_000 else [b"mdat", b"moov"]
    assert kinds == [b"ftyp", *ends]
    np.testing.assert_array_equal(by_pyav(target, 4), by_pyav(written[1], 4))


@pytest.mark.parametrize(
    "data", [b"", b"\0\0\0\4ftyp", b"\0\0\0\x10ftypisom", bytes(range(200))]
)
def test_what_is_no_mp4_is_refused(tmp_path: Path, data: bytes) -> None:
    source = tmp_path / "song.mp4"
    source.write_bytes(data)
    with pytest.raises(ValueError, match=r"."):
        mp4_boxes.rewrite(source, tmp_path / "out.mp4", b"")
