"""`stemserve evaluate` prints scores of the analysis on a dataset."""

import json
from pathlib import Path

import pytest
import soundfile
from typer.testing import CliRunner

from serve_app.cli import app
from serve_app.settings import check as settings_check
from tests.unit.analysis import music


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A dataset of one song: clicks at 120 beats per minute."""
    beats = [number / 2 for number in range(30)]
    wave = music.placed([(beat, music.click(1_000)) for beat in beats], 15.5)
    folder = tmp_path / "clicks"
    (folder / "audio").mkdir(parents=True)
    soundfile.write(folder / "audio" / "one.wav", wave, music.RATE)
    (folder / "one.bpm").write_text("120")
    return folder


def test_people_get_a_table(dataset: Path) -> None:
    result = CliRunner().invoke(app, ["evaluate", str(dataset)])
    assert result.exit_code == 0
    assert "tempo Acc1" in result.stdout
    assert "100.0 %" in result.stdout


def test_programs_get_an_object(dataset: Path) -> None:
    result = CliRunner().invoke(app, ["evaluate", str(dataset), "--json"])
    found = json.loads(result.stdout)
    assert (found["songs"], found["acc1"], found["key_exact"]) == (1, 1.0, None)


def test_a_folder_that_is_no_dataset_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["evaluate", str(tmp_path)])
    assert result.exit_code == 1
    assert "has no songs with annotations" in result.stderr


@pytest.mark.parametrize(
    "command",
    [["evaluate", "{0}"], ["analyze", "{0}/audio/one.wav", "--local"]],
    ids=lambda command: command[0],
)
def test_what_hears_beats_is_what_the_settings_say(
    command: list[str],
    dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without its weights, the command fails and says what to do."""
    monkeypatch.setenv("STEMSERVE_BEATS", "beat-this")
    monkeypatch.setenv("STEMSERVE_WEIGHTS_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("STEMSERVE_WEIGHTS_MIRROR", str(tmp_path))
    # The extra need not be installed for this.
    monkeypatch.setattr(settings_check, "find_spec", lambda _: "there")
    result = CliRunner().invoke(app, [part.format(dataset) for part in command])
    assert result.exit_code == 1
    assert f"The mirror has no {tmp_path / 'final0.ckpt'}" in result.stderr
