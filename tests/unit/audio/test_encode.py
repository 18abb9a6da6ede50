import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from serve_app.audio.decode import read_blocks
from serve_app.audio.encode import Encoder, encoded_rate
from serve_app.audio.formats import FORMATS
from serve_app.audio.limits import AudioLimits
from serve_app.audio.measure import measure
from serve_app.audio.resample import resampled
from serve_app.errors import StorageFull, disk_full_as_unavailable
from tests import disks, media
from tests.signals import offset_samples, snr_db

Wave = NDArray[np.float32]

LIMITS = AudioLimits(max_duration_seconds=60)

SNR_DB = {
    "wav": 75,
    "wav24": 120,
    "wav32f": 200,
    "flac": 75,
    "mp3": 15,
    "m4a": 15,
    "opus": 12,
}
CODECS = {
    "wav": "pcm_s16le",
    "wav24": "pcm_s24le",
    "wav32f": "pcm_f32le",
    "flac": "flac",
    "mp3": "mp3",
    "m4a": "aac",
    "opus": "opus",
}

needs_ffmpeg = pytest.mark.skipif(
    shutil.which("ffmpeg") is None, reason="ffmpeg is not installed"
)


def encode(path: Path, wave: Wave, name: str, rate: int = 44_100) -> None:
    encoder = Encoder(path, FORMATS[name], rate)
    for start in range(0, wave.shape[1], 10_007):
        encoder.write(wave[:, start : start + 10_007])
    encoder.close()


def decoded(path: Path) -> Wave:
    return np.concatenate(list(read_blocks(path)), axis=1)


def by_ffmpeg(path: Path) -> Wave:
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "f32le", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, dtype="<f4").reshape(-1, 2).T


def expected(wave: Wave, name: str, rate: int) -> Wave:
    """Return the song at the format's rate."""
    to_hz = encoded_rate(FORMATS[name], rate)
    return np.concatenate(list(resampled([wave], rate, to_hz)), axis=1)


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000, 192_000])
@pytest.mark.parametrize("name", FORMATS)
def test_a_stem_is_as_long_as_its_song_and_in_place(
    tmp_path: Path, name: str, rate: int
) -> None:
    wave = media.song(0.7654, rate)
    path = tmp_path / f"stem{FORMATS[name].suffix}"
    encode(path, wave, name, rate)
    facts = measure(path, LIMITS)
    truth, out = expected(wave, name, rate), decoded(path)
    assert (facts.sample_rate, facts.codec) == (
        encoded_rate(FORMATS[name], rate),
        CODECS[name],
    )
    assert out.shape == truth.shape
    assert offset_samples(out, truth) == 0
    assert snr_db(truth, out) > SNR_DB[name]


@needs_ffmpeg
@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000])
@pytest.mark.parametrize("name", FORMATS)
def test_others_hear_the_same_stem(tmp_path: Path, name: str, rate: int) -> None:
    wave = media.song(0.7654, rate)
    path = tmp_path / f"stem{FORMATS[name].suffix}"
    encode(path, wave, name, rate)
    truth, out = expected(wave, name, rate), by_ffmpeg(path)
    if name == "m4a":
        # FFmpeg returns the whole last packet; the file states the right end.
        assert 0 <= out.shape[1] - truth.shape[1] < 1024
        assert stated_seconds(path) == pytest.approx(0.7654, abs=1 / rate)
        out = out[:, : truth.shape[1]]
    assert out.shape == truth.shape
    assert offset_samples(out, truth) == 0


def stated_seconds(path: Path) -> float:
    command = ["ffprobe", "-v", "error", "-show_entries", "stream=duration"]
    answer = subprocess.run(
        [*command, "-of", "csv=p=0", str(path)], capture_output=True, check=True
    )
    return float(answer.stdout)


@pytest.mark.parametrize("samples", [1_000, 2_318, 5_185, 5_222, 5_777, 6_000, 6_250])
@pytest.mark.parametrize("name", ["mp3", "m4a", "opus"])
def test_every_length_is_kept(tmp_path: Path, name: str, samples: int) -> None:
    """Including lengths whose end the encoder's delay moves into another frame."""
    rate = 48_000 if name == "opus" else 44_100
    path = tmp_path / f"stem{FORMATS[name].suffix}"
    encode(path, media.song(samples / rate, rate), name, rate)
    assert decoded(path).shape == (2, samples)


@pytest.mark.parametrize("name", ["wav", "wav24", "wav32f", "flac", "opus", "m4a"])
def test_a_single_sample_is_a_stem(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"stem{FORMATS[name].suffix}"
    encode(path, np.full((2, 1), 0.25, np.float32), name, 48_000)
    assert decoded(path).shape == (2, 1)


@pytest.mark.parametrize("name", FORMATS)
def test_silence_stays_silent(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"stem{FORMATS[name].suffix}"
    encode(path, np.zeros((2, 20_000), np.float32), name)
    assert np.abs(decoded(path)).max() < (1e-9 if SNR_DB[name] > 50 else 1e-4)


@pytest.mark.parametrize(("name", "bits"), [("wav", 16), ("flac", 16), ("wav24", 24)])
def test_integers_are_rounded_to_the_nearest(
    tmp_path: Path, name: str, bits: int
) -> None:
    steps = np.array([[-2.6, -2.4, -0.6, -0.4, 0.4, 0.6, 2.4, 2.6]] * 2)
    path = tmp_path / "stem"
    encode(path, (steps / 2 ** (bits - 1)).astype(np.float32), name)
    out = soundfile.read(path, dtype="int32", always_2d=True)[0].T >> (32 - bits)
    np.testing.assert_array_equal(out[0], [-3, -2, -1, 0, 0, 1, 2, 3])


@pytest.mark.parametrize(("name", "bits"), [("wav", 16), ("flac", 16), ("wav24", 24)])
def test_integers_saturate_and_never_wrap(tmp_path: Path, name: str, bits: int) -> None:
    wave = np.array([[-1.5, -1.0, 1.0, 1.5]] * 2, dtype=np.float32)
    path = tmp_path / "stem"
    encode(path, wave, name)
    out = soundfile.read(path, dtype="int32", always_2d=True)[0].T >> (32 - bits)
    high = 2 ** (bits - 1) - 1
    np.testing.assert_array_equal(out[0], [-high - 1, -high - 1, high, high])


@pytest.mark.parametrize("name", ["wav", "flac"])
def test_16_bits_come_back_bit_for_bit(tmp_path: Path, name: str) -> None:
    media.write_song(tmp_path / "song", "wav16")
    wave = decoded(tmp_path / "song")
    encode(tmp_path / "stem", wave, name)
    np.testing.assert_array_equal(decoded(tmp_path / "stem"), wave)


def test_floats_keep_what_is_over_full_scale(tmp_path: Path) -> None:
    wave = 4 * media.song(0.2)
    encode(tmp_path / "stem", wave, "wav32f")
    np.testing.assert_array_equal(decoded(tmp_path / "stem"), wave)


def test_the_index_of_an_m4a_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "stem.m4a"
    encode(path, media.song(1.0), "m4a")
    data = path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize(
    ("name", "rate", "encoded"),
    [
        ("wav", 192_000, 192_000),
        ("flac", 5_512, 5_512),
        ("mp3", 44_100, 44_100),
        ("mp3", 4_000, 8_000),
        ("mp3", 37_800, 44_100),
        ("mp3", 88_200, 48_000),
        ("m4a", 88_200, 88_200),
        ("m4a", 192_000, 96_000),
        ("opus", 44_100, 48_000),
        ("opus", 8_000, 48_000),
    ],
)
def test_lossy_formats_have_rates_of_their_own(
    name: str, rate: int, encoded: int
) -> None:
    assert encoded_rate(FORMATS[name], rate) == encoded


@pytest.mark.parametrize("written", [0, 30_000])
@pytest.mark.parametrize("name", FORMATS)
def test_an_aborted_stem_leaves_nothing(
    tmp_path: Path, name: str, written: int
) -> None:
    encoder = Encoder(tmp_path / "stem", FORMATS[name], 44_100)
    if written:
        encoder.write(media.song(written / 44_100))
    encoder.abort()
    encoder.abort()
    assert list(tmp_path.iterdir()) == []


def test_a_stem_can_not_be_written_where_there_is_no_directory(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Encoder(tmp_path / "none" / "stem", FORMATS["wav"], 44_100)


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_that_lacks_room_for_its_end_is_not_taken_for_whole(
    tmp_path: Path, name: str, small_disk: disks.SmallDisk
) -> None:
    wave = media.song(3.0)
    path = small_disk.path / "stem"
    encode(path, wave, name)
    size_bytes, allocated = path.stat().st_size, disks.allocated_bytes(path)
    path.unlink()
    for lacking_bytes in (disks.PAGE_BYTES, allocated // 3, allocated):
        with (
            small_disk.filled(allocated - lacking_bytes),
            pytest.raises(StorageFull),
            disk_full_as_unavailable(),
        ):
            encode(path, wave, name)
        path.unlink(missing_ok=True)
    encode(path, wave, name)
    assert path.stat().st_size == size_bytes
