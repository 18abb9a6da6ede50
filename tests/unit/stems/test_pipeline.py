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
from serve_app.stems.pipeline import SeparatedSong, SongTask, separate_song
from tests import media
from tests.media import Wave
from tests.networks import SHARES, sharing_engine
from tests.signals import offset_samples, snr_db

SOURCES = ("drums", "bass", "other", "vocals")
LIMITS = AudioLimits(max_duration_seconds=60)


def write_centred_song(path: Path, seconds: float, sample_rate: int = 44_100) -> None:
    """Write a song without offset, of which each stem is just its share."""
    wave = media.song(seconds, sample_rate)
    centred = wave - wave.mean(axis=1, keepdims=True)
    media.write_wave(path, centred, sample_rate, "wavfloat")


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


def with_offset(left: float, right: float) -> Wave:
    offsets = np.array([[left], [right]], np.float32)
    return media.song(1.0) * np.float32(0.5) + offsets


def inverted(wave: Wave, likeness: float = 1.0) -> Wave:
    """Return a song whose right channel is its left one turned over."""
    return np.stack([wave[0], -np.float32(likeness) * wave[0]])


def silent_at_first(wave: Wave) -> Wave:
    silent = wave.copy()
    silent[:, :9_000] = 0
    return silent


UNUSUAL = {
    "offset": with_offset(0.01, 0.01),
    "large offset": with_offset(0.2, 0.2),
    "offset on the left": with_offset(0.02, 0.0),
    "opposite offsets": with_offset(0.05, -0.05),
    "offset, silent at first": silent_at_first(with_offset(0.1, 0.05)),
    "offset only": with_offset(0.1, 0.1) * 0 + np.float32(0.1),
    "out of phase": inverted(media.song(1.0)),
    "nearly out of phase": inverted(media.song(1.0), 0.999),
    "out of phase on an offset": inverted(media.song(1.0)) * 0.5 + np.float32(0.2),
    "left only": media.song(1.0) * np.array([[1], [0]], np.float32),
    "very quiet": media.song(1.0) * np.float32(1e-7),
}


@pytest.mark.parametrize("sample_rate", [44_100, 48_000])
@pytest.mark.parametrize("wave", UNUSUAL.values(), ids=UNUSUAL)
@pytest.mark.parametrize("stems", [SOURCES, ("accompaniment", "vocals")])
def test_stems_sum_to_a_song_whatever_its_offset_and_phase(
    tmp_path: Path, wave: Wave, stems: tuple[str, ...], sample_rate: int
) -> None:
    song = tmp_path / "song.wav"
    media.write_wave(song, wave.astype(np.float32), sample_rate, "wavfloat")
    paths = separated(song, tmp_path, stems).paths
    waves = {name: soundfile.read(paths[name], dtype="float32")[0].T for name in stems}
    assert snr_db(wave, np.sum(list(waves.values()), axis=0)) > (
        100 if sample_rate == 44_100 else 25
    )
    # Each starts with its part of the song's own first step.
    limit = 1.1 * np.abs(wave[:, 0]).max() + 1e-6
    assert max(np.abs(stem[:, 0]).max() for stem in waves.values()) < limit
    # The vocals are a tenth of the song, but for an offset.
    left, share = wave[0] - wave[0].mean(), waves["vocals"][0]
    if left.std() > 1e-9:
        assert (share - share.mean()).std() == pytest.approx(0.1 * left.std(), rel=0.01)


def test_a_single_stem_has_no_more_of_an_offset_than_beside_all_others(
    tmp_path: Path,
) -> None:
    song = tmp_path / "song.wav"
    media.write_wave(song, with_offset(0.2, 0.1), 44_100, "wavfloat")
    alone = separated(song, tmp_path / "alone", ("bass",)).paths["bass"]
    beside = separated(song, tmp_path / "beside").paths["bass"]
    assert alone.read_bytes() == beside.read_bytes()
    assert np.abs(soundfile.read(alone)[0].mean(axis=0)).max() < 0.2


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
