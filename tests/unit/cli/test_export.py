"""`stemserve export` exports a job or a file for a DJ program."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
import soundfile
from typer.testing import CliRunner, Result

from serve_app.audio import labels
from serve_app.cli import app
from serve_app.stems.exports import tagging
from serve_app.stems.exports.tags import Tags
from tests import media
from tests.unit.analysis import music
from tests.unit.client.service import Service, Stem, problem


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


def write_drums(path: Path) -> Path:
    soundfile.write(path, music.drums(120.0, seconds=8), 22_050)
    return path


def test_a_jobs_export_is_downloaded(service: Service, tmp_path: Path) -> None:
    service.on("GET", "/job/ab12/export?format=stem.mp4-alac", Stem(b"stems"))
    out = tmp_path / "song.stem.mp4"
    options = ("--format", "stem.mp4-alac", "--server", service.url)
    result = run("ab12", "--out", out, *options)
    assert (result.exit_code, result.stdout) == (0, f"{out}\n")
    assert out.read_bytes() == b"stems"
    result = run("ab12", "--out", tmp_path, "--quiet", *options)
    assert (result.exit_code, result.stdout) == (0, "")
    assert (tmp_path / "ab12.stem.mp4").read_bytes() == b"stems"


def test_what_the_server_refuses_is_told(service: Service, tmp_path: Path) -> None:
    answer = problem(404, "There is no job ab12.")
    service.on("GET", "/job/ab12/export?format=cue", answer)
    options = ("--format", "cue", "--out", tmp_path / "a.cue", "--server", service.url)
    result = run("ab12", *options)
    assert result.exit_code == 1
    assert "There is no job ab12." in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_song_is_never_overwritten_by_its_export(tmp_path: Path) -> None:
    song = write_drums(tmp_path / "song.wav")
    before = song.read_bytes()
    (tmp_path / "link.wav").symlink_to(song)
    for out in (song, tmp_path / "link.wav"):
        result = run(song, "--local", "--format", "cue", "--out", out)
        assert result.exit_code == 1
        assert "give --out another name" in result.stderr
        assert song.read_bytes() == before


def test_a_file_is_exported_here_and_found_by_its_path(tmp_path: Path) -> None:
    song = write_drums(tmp_path / "a song.wav")
    result = run(
        song, "--local", "--format", "rekordbox", "--out", tmp_path / "out.xml"
    )
    assert result.exit_code == 0, result.stderr
    xml = (tmp_path / "out.xml").read_text()
    track = ElementTree.fromstring(xml).find(".//TRACK")  # noqa: S314
    assert track is not None
    assert float(track.attrib["AverageBpm"]) == pytest.approx(120, abs=0.1)
    path = f"{tmp_path}/a%20song.wav"
    assert track.attrib["Location"] == f"file://localhost{path}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a song.wav", "out.xml"]


def test_stems_of_a_run_are_exported_here(tmp_path: Path) -> None:
    song = tmp_path / "song.wav"
    media.write_song(song, seconds=2.0)
    tagging.write(song, tmp_path / "tagged.wav", Tags(title="Blue"))
    stems = tmp_path / "song"
    stems.mkdir()
    for name in ("drums", "bass", "other", "vocals", "accompaniment"):
        (stems / f"{name}.wav").write_bytes(song.read_bytes())
    options = ("--local", "--format", "stem.mp4", "--out", tmp_path)
    result = run(tmp_path / "tagged.wav", *options, "--stems", stems)
    assert result.exit_code == 0, result.stderr
    made = tmp_path / "tagged.stem.mp4"
    assert b'"name": "Drums"' in made.read_bytes()
    assert labels.read(made).values["title"] == "Blue"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ab12", "--format", "winamp"), "There is no export 'winamp'"),
        (("song.wav", "--format", "cue"), "song.wav is not a job id"),
        (("song.wav", "--local", "--format", "serato"), "needs stems"),
        (("none.wav", "--local", "--format", "cue"), "none.wav can't be read"),
        (("ab12", "--format", "serato", "--stems", "."), "--stems requires --local"),
    ],
)
def test_what_cannot_be_is_said_and_what_to_do(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    result = run(*arguments, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert said in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_stems_must_be_where_they_are_said_to_be(tmp_path: Path) -> None:
    song = write_drums(tmp_path / "song.wav")
    options = ("--local", "--format", "stem.mp4", "--out", tmp_path / "a.stem.mp4")
    (tmp_path / "empty").mkdir()
    for folder, said in (("none", "can't be read"), ("empty", "contains no stems")):
        result = run(song, *options, "--stems", tmp_path / folder)
        assert result.exit_code == 1
        assert said in result.stderr
    # The accompaniment does not replace the drums.
    soundfile.write(tmp_path / "empty" / "vocals.wav", [[0.0, 0.0]], 22_050)
    result = run(song, *options, "--stems", tmp_path / "empty")
    assert "needs the stems" in result.stderr
    assert not list(tmp_path.glob(".*"))
