"""A song from file to stems, with a network whose stems are known."""

from pathlib import Path
from threading import Event

import numpy as np
import pytest
import soundfile

from serve_app.audio import formats
from serve_app.audio.limits import AudioLimits
from serve_app.audio.measure import measure
from serve_app.errors import Cancelled
from serve_app.pipeline import SeparatedSong, SongTask, separate_song
from tests import media
from tests.networks import SHARES, sharing_engine
from tests.signals import offset_samples, snr_db

SOURCES = ("drums", "bass", "other", "vocals")
LIMITS = AudioLimits(max_duration_seconds=60)


def write_centred_song(path: Path, seconds: float, sample_rate: int = 44_100) -> None:
    """Write a song without offset, which Demucs would add to every stem."""
    wave = media.song(seconds, sample_rate)
    media.write_wave(path, wave - wave.mean(), sample_rate, "wavfloat")


def separated(
    song: Path,
    directory: Path,
    stems: tuple[str, ...] = SOURCES,
    shares: tuple[float, ...] = SHARES,
    form: str = "wav32f",
) -> SeparatedSong:
    task = SongTask(
        song, measure(song, LIMITS), stems, formats.parse(form), directory / "stems"
    )
    with sharing_engine(shares) as engine:
        return separate_song(engine, task, lambda done: None, Event())


@pytest.mark.parametrize("sample_rate", [8000, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("samples", [1, 4001, 100_003])
def test_stems_have_the_songs_length_and_rate_and_sum_to_it(
    tmp_path: Path, sample_rate: int, samples: int
) -> None:
    song = tmp_path / "song.wav"
    seconds = samples / sample_rate
    write_centred_song(song, seconds, sample_rate)
    mix, _ = soundfile.read(song, dtype="float32", always_2d=True)
    paths = separated(song, tmp_path).paths
    waves = []
    for name in SOURCES:
        wave, rate = soundfile.read(paths[name], dtype="float32", always_2d=True)
        assert (wave.shape, rate) == (mix.shape, sample_rate)
        waves.append(wave)
    total = np.sum(waves, axis=0)
    if samples > 100:
        assert offset_samples(total.T, mix.T) == 0
        assert snr_db(mix, total) > (100 if sample_rate == 44_100 else 25)


def test_accompaniment_is_all_but_the_vocals(tmp_path: Path) -> None:
    song = tmp_path / "song.wav"
    write_centred_song(song, 1.0)
    mix, _ = soundfile.read(song, dtype="float32")
    paths = separated(song, tmp_path, ("accompaniment", "vocals")).paths
    assert set(paths) == {"accompaniment", "vocals"}
    for name, share in (("accompaniment", 0.9), ("vocals", 0.1)):
        wave, _ = soundfile.read(paths[name], dtype="float32")
        np.testing.assert_allclose(wave, share * mix, atol=1e-4)


def test_stems_over_full_scale_share_one_gain(tmp_path: Path) -> None:
    song = tmp_path / "song.wav"
    write_centred_song(song, 1.0)  # its peak is 0.5
    shares = (4.0, 1.0, -3.0, -1.0)
    loud = separated(song, tmp_path, shares=shares, form="wav24")
    assert loud.gain == pytest.approx(1 / (4 * 0.5), rel=0.01)
    mix, _ = soundfile.read(song, dtype="float32")
    for name, share in zip(SOURCES, shares, strict=True):
        wave, _ = soundfile.read(loud.paths[name], dtype="float32")
        np.testing.assert_allclose(wave, share * loud.gain * mix, atol=1e-4)
    untouched = separated(song, tmp_path, shares=shares, form="wav32f")
    assert untouched.gain == 1.0


def test_a_cancelled_song_leaves_no_file(tmp_path: Path) -> None:
    song = tmp_path / "song.wav"
    media.write_song(song, seconds=20.0)
    cancelled = Event()
    task = SongTask(
        song, measure(song, LIMITS), SOURCES, formats.parse("wav"), tmp_path / "stems"
    )
    with sharing_engine() as engine, pytest.raises(Cancelled):
        separate_song(engine, task, lambda done: cancelled.set(), cancelled)
    assert list((tmp_path / "stems").iterdir()) == []


def test_progress_counts_windows_up_to_one(tmp_path: Path) -> None:
    song = tmp_path / "song.wav"
    media.write_song(song, seconds=2.0)
    seen: list[float] = []
    task = SongTask(
        song, measure(song, LIMITS), SOURCES, formats.parse("wav"), tmp_path / "stems"
    )
    with sharing_engine() as engine:
        separate_song(engine, task, seen.append, Event())
    assert seen == sorted(seen)
    assert len(seen) > 3
    assert seen[-1] == 1.0
