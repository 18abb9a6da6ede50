"""The analysis of stored files."""

import re
import shutil
import subprocess
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from serve_app.analysis.song import SongListener, StemListener
from serve_app.analysis.waveform import PeaksListener, Span
from serve_app.stems.reporter import heard
from tests import media

RATE = 44_100


@pytest.fixture(scope="module")
def surround(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A song of 5.1, its low-frequency effects the loudest."""
    gains = np.array([0.2, 0.3, 0.25, 0.9, 0.4, 0.15], np.float32)
    path = tmp_path_factory.mktemp("songs") / "six.wav"
    media.write_wave(path, gains[:, None] * media.song(6.0, RATE, channels=6), RATE)
    return path


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_the_loudness_of_5_1_is_that_of_its_channels(surround: Path) -> None:
    """As FFmpeg measures it, and not that of the stereo mix."""
    command = ["ffmpeg", "-nostats", "-i", str(surround), "-af", "ebur128=peak=true"]
    told = subprocess.run([*command, "-f", "null", "-"], capture_output=True, text=True)
    summary = told.stderr.rpartition("Summary:")[2]
    integrated, peak = (
        float(re.search(rf"{name}:\s+(-?[\d.]+)", summary)[1])  # type: ignore[index]
        for name in ("I", "Peak")
    )
    for kind in (StemListener, SongListener):
        listener = heard(surround, kind, Event())
        found = listener.result().loudness
        assert found.integrated_lufs == pytest.approx(integrated, abs=0.1)
        assert found.true_peak_dbtp == pytest.approx(peak, abs=0.15)


def test_of_5_1_all_else_is_that_of_the_stereo_mix(surround: Path) -> None:
    found = heard(surround, SongListener, Event()).finish()
    assert found.levels.peak_dbfs is not None
    assert found.waveform.samples == 6 * RATE
    pixels = heard(
        surround, lambda rate, _: PeaksListener(Span(0, 441, 441), rate), Event()
    ).end()
    assert pixels.values.shape == (1, 1, 2)


def test_mono_counts_as_one_channel(tmp_path: Path) -> None:
    wave = media.song(4.0, RATE, channels=1)
    media.write_wave(tmp_path / "one.wav", wave, RATE)
    media.write_wave(tmp_path / "two.wav", np.repeat(wave, 2, axis=0), RATE)
    one, two = (
        heard(tmp_path / name, StemListener, Event()).result().loudness.integrated_lufs
        for name in ("one.wav", "two.wav")
    )
    assert one is not None
    assert two == pytest.approx(one + 3.01, abs=0.01)
