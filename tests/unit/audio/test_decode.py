import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from serve_app.audio.decode import opened, read_blocks
from serve_app.errors import UnreadableAudio
from tests import media
from tests.signals import offset_samples, snr_db

Wave = NDArray[np.float32]

# The required quality of each codec; Matroska can't state where its AAC ends.
SNR_DB = {
    "mp3": 8,
    "wav8": 25,
    "wav16": 70,
    "wav24": 120,
    "wav32": 140,
    "wavfloat": 200,
    "wavdouble": 200,
    "flac": 70,
    "ogg": 3,
    "opus": 10,
    "m4a": 12,
    "alac": 70,
    "aiff": 70,
    "mp4": 12,
    "mkv": 12,
    "webm": 10,
}
NO_END = ("mkv",)

needs_ffmpeg = pytest.mark.skipif(
    shutil.which("ffmpeg") is None, reason="ffmpeg is not installed"
)


def decoded(path: Path, block_samples: int = 10_000) -> Wave:
    return np.concatenate(list(read_blocks(path, block_samples)), axis=1)


def by_ffmpeg(path: Path) -> Wave:
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "f32le", "-ac", "2", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, dtype="<f4").reshape(-1, 2).T


@pytest.mark.parametrize("kind", media.KINDS)
@pytest.mark.parametrize("samples", [50_000, 33_333, 5_000])
def test_a_song_comes_back_in_place_and_whole(
    tmp_path: Path, kind: str, samples: int
) -> None:
    path = tmp_path / f"song{media.KINDS[kind]}"
    rate = media.usual_rate(kind)
    wave = media.song(samples / rate, rate)
    media.write_wave(path, wave, rate, kind)
    out = decoded(path)
    if kind not in NO_END:
        assert out.shape == wave.shape
    assert offset_samples(out, wave) == 0
    assert snr_db(wave, out[:, : wave.shape[1]]) > SNR_DB[kind]


@pytest.mark.parametrize("kind", media.KINDS)
def test_a_name_without_a_suffix_is_no_hindrance(tmp_path: Path, kind: str) -> None:
    """Storage keys have no suffix."""
    path = tmp_path / "ab:12 ü"
    media.write_song(path, kind, seconds=0.5)
    assert decoded(path).shape[0] == 2


@needs_ffmpeg
@pytest.mark.parametrize("kind", media.KINDS)
def test_ffmpeg_hears_the_same(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"song{media.KINDS[kind]}"
    wave = media.write_song(path, kind, seconds=1.23)
    ours, theirs = decoded(path), by_ffmpeg(path)
    if kind in NO_END:
        # FFmpeg before 7 does not remove AAC's priming samples in Matroska.
        late = offset_samples(theirs, wave)
        theirs = theirs[:, late:]
    if kind in ("m4a", "mp4"):
        # FFmpeg returns the whole last packet, past the end that the file states.
        assert 0 <= theirs.shape[1] - ours.shape[1] < 1024
        theirs = theirs[:, : ours.shape[1]]
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < 1e-4


@pytest.mark.parametrize("kind", ["wav16", "mp3", "m4a", "flac", "ogg"])
def test_mono_is_doubled(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "song"
    media.write_song(path, kind, seconds=0.5, channels=1)
    out = decoded(path)
    assert out.shape[0] == 2
    np.testing.assert_array_equal(out[0], out[1])


@pytest.mark.parametrize("kind", ["m4a", "ogg", "flac", "wav24", "mkv"])
def test_eight_channels_are_mixed_down(tmp_path: Path, kind: str) -> None:
    """PyAV crashes when it reads the planes of eight or more channels."""
    path = tmp_path / "song"
    wave = media.write_song(path, kind, seconds=0.5, channels=8)
    out = decoded(path)
    if kind in ("flac", "wav24"):
        assert out.shape == (2, wave.shape[1])
    assert np.isfinite(out).all()
    assert 0.1 < np.abs(out).max() < 3


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 96_000, 192_000])
def test_a_song_keeps_its_rate(tmp_path: Path, rate: int) -> None:
    wave = media.write_song(tmp_path / "song", "wav24", seconds=0.5, sample_rate=rate)
    assert decoded(tmp_path / "song").shape == wave.shape


@pytest.mark.parametrize("block_samples", [1, 999, 20_000, 1_000_000])
def test_blocks_are_of_the_size_asked_for(tmp_path: Path, block_samples: int) -> None:
    seconds = 0.01 if block_samples == 1 else 0.5
    wave = media.write_song(tmp_path / "song", "wavfloat", seconds=seconds)
    blocks = list(read_blocks(tmp_path / "song", block_samples))
    assert all(block.shape == (2, block_samples) for block in blocks[:-1])
    assert 1 <= blocks[-1].shape[1] <= block_samples
    assert blocks[0].dtype == np.float32
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), wave)


def test_a_cover_picture_is_no_music(tmp_path: Path) -> None:
    wave = media.write_mp3_with_cover(tmp_path / "song.mp3")
    assert decoded(tmp_path / "song.mp3").shape == wave.shape


def test_a_change_of_rate_is_brought_to_the_first(tmp_path: Path) -> None:
    first, second = tmp_path / "1.aac", tmp_path / "2.aac"
    media.write_song(first, "aac", seconds=1.0, sample_rate=44_100)
    media.write_song(second, "aac", seconds=1.0, sample_rate=48_000)
    first_samples = decoded(first).shape[1]
    second_samples = decoded(second).shape[1]
    both = tmp_path / "both.aac"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    total = first_samples + round(second_samples * 44_100 / 48_000)
    assert abs(decoded(both).shape[1] - total) <= 1


@pytest.mark.parametrize("writer", [media.write_playlist, media.write_concat_script])
@pytest.mark.parametrize("name", ["list.m3u8", "list.mp3", "list"])
def test_a_file_that_names_another_is_refused(
    tmp_path: Path, writer: Callable[[Path, Path], None], name: str
) -> None:
    target = tmp_path / "secret.wav"
    media.write_song(target)
    writer(tmp_path / name, target)
    with pytest.raises(UnreadableAudio, match="not an audio file"):
        decoded(tmp_path / name)


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        decoded(tmp_path / "none.wav")


@pytest.mark.parametrize("channels", [1, 2, 6, 8])
def test_channels_come_below_the_stereo_mix(tmp_path: Path, channels: int) -> None:
    wave = media.song(0.5, 44_100, channels)
    media.write_wave(tmp_path / "a.wav", wave, 44_100)
    with opened(tmp_path / "a.wav") as song:
        blocks = list(song.blocks(10_000, with_channels=True))
        weights = song.loudness_weights
    out = np.concatenate(blocks, axis=1)
    assert len(weights) == channels
    np.testing.assert_array_equal(out[:2], decoded(tmp_path / "a.wav"))
    np.testing.assert_allclose(out[-channels:], wave, atol=2.0**-15)


def test_channels_that_come_and_go_keep_the_first_layout(tmp_path: Path) -> None:
    """A chained Ogg's next section may have another number of channels."""
    path = tmp_path / "chain.ogg"
    data = b""
    for channels in (6, 2, 6):
        part = tmp_path / "part.ogg"
        media.write_song(part, "ogg", seconds=0.5, channels=channels)
        data += part.read_bytes()
    path.write_bytes(data)
    with opened(path) as song:
        out = np.concatenate(list(song.blocks(10_000, with_channels=True)), axis=1)
    assert len(out) == 8
    np.testing.assert_array_equal(out[:2], decoded(path))
    middle = slice(out.shape[1] * 2 // 5, out.shape[1] * 3 // 5)
    np.testing.assert_array_equal(out[2:4, middle], out[:2, middle])
    assert not out[4:, middle].any()
