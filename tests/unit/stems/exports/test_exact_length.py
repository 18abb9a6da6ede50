import wave
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from serve_app.stems.exports import exact_length
from serve_app.stems.exports.codec_facts import CodecFacts
from serve_app.stems.exports.exact_length import Convention, Extent
from tests import media
from tests.unit.stems.exports.songs import RATE, track

SAMPLES = 10_003


def read(path: Path) -> NDArray[np.int16]:
    return np.asarray(soundfile.read(path, dtype="int16", always_2d=True)[0])


@pytest.fixture
def stem(tmp_path: Path) -> Path:
    media.write_wave(tmp_path / "stem.wav", media.song(SAMPLES / RATE, RATE), RATE)
    return tmp_path / "stem.wav"


@pytest.mark.parametrize("lead", [0, 2257, 70_000])
@pytest.mark.parametrize("more", [-9_000, 0, 1, 70_000])
def test_a_wav_has_exactly_the_samples_and_the_stem_in_its_place(
    tmp_path: Path, stem: Path, lead: int, more: int
) -> None:
    length = lead + SAMPLES + more
    exact_length.write(stem, tmp_path / "out.wav", RATE, Extent(lead, length))
    out, truth = read(tmp_path / "out.wav"), read(stem)
    assert len(out) == length
    kept = min(SAMPLES, length - lead)
    assert not out[:lead].any()
    np.testing.assert_array_equal(out[lead : lead + kept], truth[:kept])
    assert not out[lead + kept :].any()


@pytest.mark.parametrize(
    ("convention", "expected"),
    [
        (Convention.GAPLESS, Extent(0, SAMPLES)),
        (Convention.FRAMES, Extent(1105, 10 * 1152)),
        (Convention.FRAMES_AND_TAG, Extent(1105 + 1152, 11 * 1152)),
    ],
)
def test_each_convention_counts_frames_in_its_way(
    convention: Convention, expected: Extent
) -> None:
    codec = CodecFacts("mp3", RATE, 1105, 10 * 1152, 1152, "D")
    song = track(samples=SAMPLES, codec=codec)
    assert exact_length.extent(song, convention) == expected


@pytest.mark.parametrize("convention", Convention)
def test_a_file_without_a_delay_is_as_long_for_all(convention: Convention) -> None:
    song = track(samples=SAMPLES, codec=CodecFacts("flac"))
    assert exact_length.extent(song, convention) == Extent(0, SAMPLES)


def test_the_zip_holds_every_stem(tmp_path: Path, stem: Path) -> None:
    codec = CodecFacts("mp3", RATE, 1105, 10 * 1152, 1152, "D")
    song = track(samples=SAMPLES, codec=codec)
    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / "song.zip"
    exact_length.write_zip(song, {"drums": stem, "vocals": stem}, target)
    with zipfile.ZipFile(target) as archive:
        assert archive.namelist() == ["drums.wav", "vocals.wav"]
        for name in archive.namelist():
            with archive.open(name) as file, wave.open(file) as sound:
                assert (sound.getnframes(), sound.getframerate()) == (11 * 1152, RATE)
    assert list(target.parent.iterdir()) == [target]


def test_no_part_of_a_wav_is_left_of_a_stem_that_can_not_be_read(
    tmp_path: Path,
) -> None:
    (tmp_path / "stem.wav").write_bytes(b"no wav")
    with pytest.raises(Exception, match="audio file"):
        exact_length.write_zip(
            track(), {"drums": tmp_path / "stem.wav"}, tmp_path / "out.zip"
        )
    assert list(tmp_path.iterdir()) == [tmp_path / "stem.wav"]
