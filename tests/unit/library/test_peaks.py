"""Peaks are those of the whole file, whatever its form."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from serve_app.errors import UnreadableAudio
from serve_app.library import peaks
from tests import media

SUBTYPES = ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT")


def reference(samples: NDArray[np.float64], number: int) -> list[float]:
    """Return the peaks of samples (n, channels), by the contract's words."""
    mono = samples.mean(axis=1)
    if len(mono) < number:
        mono = np.pad(mono, (0, number - len(mono)))
    size = len(mono) // number
    found = [
        np.abs(mono[start : start + size]).max()
        for start in range(0, number * size, size)
    ]
    largest = max(found)
    scaled = np.array(found) / largest if largest else np.array(found)
    return [round(float(peak), 4) for peak in scaled]


def noise(samples: int, channels: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(samples + channels)
    swell = np.linspace(0.05, 0.9, max(samples, 1))[:samples, None]
    return rng.uniform(-1, 1, (samples, channels)) * swell


def is_wanted() -> None:
    """Want the file to its end."""


def check(path: Path, number: int) -> None:
    samples, sample_rate = soundfile.read(path, dtype="float64", always_2d=True)
    found = peaks.of_file(path, number, is_wanted)
    assert (found.samples, found.sample_rate) == (len(samples), sample_rate)
    wanted = reference(samples, number)
    assert len(found.peaks) == number
    assert np.abs(np.array(found.peaks) - wanted).max() <= 1e-4 + 1e-9
    # Only a tie may round the other way.
    assert np.mean(np.array(found.peaks) != wanted) < 0.002


@pytest.mark.parametrize("subtype", SUBTYPES)
@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("samples", [1, 3_999, 4_000, 4_001, 130_001, 300_007])
def test_peaks_are_those_of_the_whole_file(
    tmp_path: Path, samples: int, channels: int, subtype: str
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(samples, channels), 44_100, subtype)
    check(path, 4_000)


@pytest.mark.parametrize("kind", ["flac", "aiff", "ogg"])
def test_other_containers_are_read_too(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a{media.KINDS[kind]}"
    media.write_song(path, kind, seconds=3.21, sample_rate=48_000)
    check(path, 1_024)


def test_an_mp3_has_a_whole_waveform(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    media.write_song(path, "mp3", seconds=3.0)
    found = peaks.of_file(path, 500, is_wanted)
    assert max(found.peaks) == 1.0
    assert min(found.peaks[5:-5]) > 0
    assert found.duration_seconds == pytest.approx(3.0, abs=0.06)


def test_silence_and_antiphase_have_no_peaks(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    whole = np.rint(noise(9_000, 1) * 30_000).astype(np.int16)
    for samples in (np.zeros((9_000, 2)), whole * np.array([1, -1], np.int16)):
        soundfile.write(path, samples, 44_100, "PCM_16")
        assert set(peaks.of_file(path, 100, is_wanted).peaks) == {0.0}


def test_a_file_without_samples_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros((0, 1)), 44_100, "PCM_16")
    with pytest.raises(UnreadableAudio):
        peaks.of_file(path, 100, is_wanted)


def test_it_stops_when_it_is_not_wanted(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(100_000, 1), 44_100, "PCM_16")

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        peaks.of_file(path, 100, stop)


def test_the_file_of_a_waveform_has_these_fields() -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC)
    assert peaks.waveform([0.5, 1.0], 88_200, 44_100, now) == {
        "peaks": [0.5, 1.0],
        "duration": 2.0,
        "sample_rate": 44_100,
        "num_peaks": 2,
        "created_at": "2026-01-02T03:04:05.678901Z",
    }


@pytest.mark.parametrize("kind", ["wav16", "flac", "mp3"])
def test_a_file_whose_end_is_missing_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a{media.KINDS[kind]}"
    media.write_song(path, kind, seconds=3.0)
    path.write_bytes(path.read_bytes()[:-20_001])
    with pytest.raises(UnreadableAudio):
        peaks.of_file(path, 100, is_wanted)


def test_samples_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    samples = noise(9_000, 1)
    samples[77] = np.nan
    soundfile.write(path, samples, 44_100, "FLOAT")
    with pytest.raises(UnreadableAudio):
        peaks.of_file(path, 100, is_wanted)
