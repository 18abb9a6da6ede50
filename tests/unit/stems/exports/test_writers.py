from pathlib import Path

import pytest

from serve_app.errors import InvalidInput
from serve_app.stems.exports import forms, writers
from serve_app.stems.exports.forms import EXPORTS
from serve_app.stems.exports.writers import Song
from tests import media
from tests.unit.stems.exports.songs import RATE, track


@pytest.mark.parametrize("name", EXPORTS)
def test_every_export_writes_a_file(tmp_path: Path, name: str) -> None:
    media.write_wave(tmp_path / "a.wav", media.song(0.2, RATE), RATE)
    stems = dict.fromkeys(("drums", "bass", "other", "vocals"), tmp_path / "a.wav")
    song = Song(track(samples=round(0.2 * RATE)), tmp_path / "a.wav", stems)
    export = forms.parse(name)
    target = tmp_path / f"song{export.suffix}"
    writers.write(name, song, target)
    assert target.stat().st_size > 100


@pytest.mark.parametrize("name", ["rekordbox", "cue", "mixxx"])
def test_grids_need_no_stems(tmp_path: Path, name: str) -> None:
    assert not EXPORTS[name].needs_stems
    writers.write(name, Song(track()), tmp_path / "out")


def test_a_stem_mp4_without_its_song_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs the file of the song"):
        writers.write("stem.mp4", Song(track()), tmp_path / "out")


def test_a_name_that_is_none_is_refused_with_the_choices() -> None:
    with pytest.raises(InvalidInput, match=r"no export 'nml'\. Choose one of: rekord"):
        forms.parse("nml")
