"""A mix is the mean of all its stems, never clipped."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from serve_app.errors import UnreadableAudio
from serve_app.library.mix import Mixed, Mixer

STEP = 2.0**-15


def tone(
    samples: int, hz: float, level: float, rate: int = 44_100
) -> NDArray[np.float64]:
    return level * np.sin(2 * np.pi * hz * np.arange(samples) / rate)


def written(
    path: Path, samples: NDArray[np.float64], rate: int = 44_100, subtype: str = "FLOAT"
) -> Path:
    soundfile.write(path, samples, rate, subtype)
    return path


def mixed(
    tmp_path: Path, stems: list[Path], channels: int = 1
) -> tuple[Mixed, NDArray[np.float64], int]:
    """Mix the stems; return the facts, and the samples and the rate of the file."""
    mixer = Mixer(tmp_path / "sum", channels, lambda: None)
    for stem in stems:
        mixer.add(stem)
    found = mixer.write(tmp_path / "mix.wav", 4_000)
    info = soundfile.info(tmp_path / "mix.wav")
    assert (info.format, info.subtype, info.channels) == ("WAV", "PCM_16", channels)
    samples, rate = soundfile.read(tmp_path / "mix.wav", always_2d=True)
    return found, samples, rate


def test_all_stems_are_in_the_mix_as_long_as_the_longest(tmp_path: Path) -> None:
    one, two = tone(90_000, 440, 0.5), tone(150_001, 660, 0.4)
    stems = [written(tmp_path / "1.wav", one), written(tmp_path / "2.wav", two)]
    found, samples, rate = mixed(tmp_path, stems)
    wanted = two.copy()
    wanted[: len(one)] += one
    assert (rate, len(samples), found.resampled_stems) == (44_100, 150_001, 0)
    assert np.abs(samples[:, 0] - wanted / 2).max() <= STEP
    assert (found.found.samples, len(found.found.peaks)) == (150_001, 4_000)
    assert max(found.found.peaks) == 1.0


def test_a_loud_mix_is_scaled_down_by_one_gain(tmp_path: Path) -> None:
    loud = tone(44_100, 440, 2.0)
    _, samples, _ = mixed(tmp_path, [written(tmp_path / "1.wav", loud)])
    assert np.abs(samples).max() == pytest.approx(0.95, abs=2 * STEP)
    assert np.abs(samples[:, 0] - loud * 0.475).max() <= 2 * STEP


def test_stems_of_another_rate_are_resampled_and_counted(tmp_path: Path) -> None:
    stems = [
        written(tmp_path / "1.wav", tone(44_100, 440, 0.5)),
        written(tmp_path / "2.wav", tone(48_000, 440, 0.5, 48_000), 48_000),
        written(tmp_path / "3.wav", tone(22_050, 440, 0.5, 22_050), 22_050),
    ]
    found, samples, rate = mixed(tmp_path, stems)
    assert (rate, len(samples), found.resampled_stems) == (44_100, 44_100, 2)
    inside = samples[2_000:-2_000, 0] - tone(44_100, 440, 0.5)[2_000:-2_000]
    assert np.abs(inside).max() < 0.001


def test_mono_is_the_mean_of_the_channels(tmp_path: Path) -> None:
    left, right = tone(30_000, 440, 0.6), tone(30_000, 550, 0.2)
    stem = written(tmp_path / "1.wav", np.stack([left, right], axis=1))
    _, samples, _ = mixed(tmp_path, [stem])
    assert np.abs(samples[:, 0] - (left + right) / 2).max() <= STEP


def test_stereo_keeps_the_sides(tmp_path: Path) -> None:
    both = np.stack([tone(30_000, 440, 0.6), tone(30_000, 550, 0.2)], axis=1)
    stems = [
        written(tmp_path / "1.wav", both),
        written(tmp_path / "2.wav", tone(20_000, 110, 0.3)),
    ]
    _, samples, _ = mixed(tmp_path, stems, channels=2)
    wanted = both.copy()
    wanted[:20_000] += tone(20_000, 110, 0.3)[:, None]
    assert np.abs(samples - wanted / 2).max() <= STEP


def test_silent_stems_make_a_silent_mix(tmp_path: Path) -> None:
    stem = written(tmp_path / "1.wav", np.zeros(10_000))
    found, samples, _ = mixed(tmp_path, [stem, stem])
    assert not samples.any()
    assert set(found.found.peaks) == {0.0}


def test_one_unreadable_stem_fails_the_mix(tmp_path: Path) -> None:
    mixer = Mixer(tmp_path / "sum", 1, lambda: None)
    mixer.add(written(tmp_path / "1.wav", tone(10_000, 440, 0.5)))
    bad = tmp_path / "2.wav"
    bad.write_bytes(b"RIFF rubbish")
    with pytest.raises(UnreadableAudio):
        mixer.add(bad)


def test_samples_that_are_no_numbers_fail_the_mix(tmp_path: Path) -> None:
    mixer = Mixer(tmp_path / "sum", 1, lambda: None)
    broken = tone(10_000, 440, 0.5)
    broken[77] = np.nan
    mixer.add(written(tmp_path / "1.wav", broken))
    with pytest.raises(UnreadableAudio):
        mixer.write(tmp_path / "mix.wav", 100)
