"""`--local` gives the same results as a server."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner, Result

from serve_app.cli import app
from serve_app.stems.exports import tagging, tags
from serve_app.stems.exports.tags import Tags


@pytest.fixture
def tune(tmp_path: Path) -> Path:
    """1.5 seconds of an A major chord at 48 kHz."""
    time = np.arange(72_000) / 48_000
    notes = [np.sin(2 * np.pi * 220 * step * time) for step in (1, 5 / 4, 3 / 2)]
    path = tmp_path / "tune.wav"
    soundfile.write(path, 0.2 * np.sum(notes, axis=0), 48_000)
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments), "--local"])


def test_songs_are_separated_here(tune: Path, tmp_path: Path) -> None:
    tagged = tmp_path / "tagged.wav"
    tagging.write(tune, tagged, Tags(title="Blue", artist="A"))
    tagged.replace(tune)
    noise = tmp_path / "noise.mp3"
    noise.write_text("This is no song.")
    options = ("--model", "demo", "--stems", "vocals,accompaniment")
    result = run("separate", tune, noise, "--out", tmp_path / "out", *options)
    assert result.exit_code == 1
    assert str(noise) in result.stderr
    stems = sorted((tmp_path / "out").rglob("*"))
    names = [path.name for path in stems]
    assert names == ["tune", "accompaniment.wav", "vocals.wav"]
    for path in stems[1:]:
        assert soundfile.info(path).frames == 72_000
        assert soundfile.info(path).samplerate == 48_000
    assert tags.read(stems[2]).title == "Blue (Vocals)"
    vocals, accompaniment = (soundfile.read(path)[0] for path in stems[1:])
    mix = soundfile.read(tune)[0]
    error = mix[:, None] - vocals - accompaniment
    assert np.sum(error**2) < 0.1 * 2 * np.sum(mix**2)


def test_a_run_that_is_ended_leaves_nothing(tmp_path: Path) -> None:
    song, out = tmp_path / "noise.wav", tmp_path / "new" / "out"
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, (44_100 * 300, 2))
    soundfile.write(song, noise, 44_100)
    command = [sys.executable, "-m", "serve_app.cli", "separate", "--local"]
    command += [str(song), "--model", "demo", "--out", str(out), "--quiet"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 300
        while not list(out.glob(".*/*/drums.wav")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.terminate()
        _, complaints = process.communicate(timeout=60)
    assert process.returncode == 143
    assert complaints.endswith("Cancelling. Press Ctrl-C again to exit at once.\n")
    assert [path.name for path in tmp_path.iterdir()] == ["noise.wav"]


def test_a_stem_that_the_model_has_not_is_told(tune: Path, tmp_path: Path) -> None:
    result = run(
        "separate", tune, "-o", tmp_path, "--model", "demo", "--stems", "cello"
    )
    assert result.exit_code == 1
    assert "no stem 'cello'" in result.stderr
    assert "Traceback" not in result.output


def test_a_model_that_is_not_allowed_is_told(
    tune: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMSERVE_ALLOWED_LICENCES", "permissive")
    options = ("-o", tmp_path / "out", "--model", "hdemucs_high_musdb")
    result = run("separate", tune, *options)
    assert result.exit_code == 1
    assert "STEMSERVE_ALLOWED_LICENCES=permissive" in result.stderr
    assert "Traceback" not in result.output
    assert list((tmp_path / "out").rglob("*.wav")) == []


def test_songs_are_analysed_here(tune: Path) -> None:
    result = run("analyze", tune, "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["key"] == "A major"
    assert found["duration"] == 1.5
    assert found["sample_rate"] == 48_000


@pytest.mark.parametrize(("low", "high"), [(70, 90), (150, 170)])
def test_a_tempo_is_told_within_the_range_that_is_given(
    tmp_path: Path, low: int, high: int
) -> None:
    time = np.arange(10 * 22_050) / 22_050
    noise = np.random.default_rng(4).standard_normal(len(time))
    path = tmp_path / "clicks.wav"
    soundfile.write(path, 0.3 * noise * np.exp(-80 * (time % (60 / 160))), 22_050)
    result = run("analyze", path, "--json", "--bpm-range", f"{low}-{high}")
    assert low <= json.loads(result.stdout)["bpm"] <= high
