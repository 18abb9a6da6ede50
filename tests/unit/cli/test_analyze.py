"""`stemserve analyze`: a table, or with --json an object per line."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from serve_app.cli import app
from tests.unit.client.service import Service, json_answer, problem

FOUND = {
    "filename": "song.mp3",
    "size_bytes": 5_000,
    "bpm": 123.96,
    "bpm_confidence": 0.97,
    "key": "C# minor",
    "camelot": "12A",
    "open_key": "5m",
    "key_confidence": 0.82,
    "duration": 215.4,
    "sample_rate": 44_100,
}


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["analyze", *map(str, arguments)])


def test_people_get_a_table(service: Service, song: Path) -> None:
    service.on("POST", "/analyze", json_answer(FOUND))
    result = run(song, "--server", service.url)
    assert result.exit_code == 0
    cells = ["123.96", "97%", "C#", "minor", "82%", "12A", "5m", "3:35"]
    assert result.stdout.splitlines()[-1].split() == ["My", "[song].mp3", *cells]


def test_a_table_has_the_names_of_songs_and_fits(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{letter} long enough to be cut.flac" for letter in "abc"]
    for name in names:
        (tmp_path / name).write_bytes(b"music")
    service.on("POST", "/analyze", json_answer(FOUND))
    result = run(tmp_path, "--server", service.url)
    rows = result.stdout.splitlines()
    # In a pipe each song is one line.
    assert [name for name in names if any(name in row for row in rows)] == names
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    console = re.sub(
        r"\x1b\[[\d;]*m", "", run(tmp_path, "--server", service.url).stdout
    )
    rows = [row for row in console.splitlines() if "C# minor" in row]
    assert len(rows) == len(names)
    for row, letter in zip(rows, "abc", strict=True):
        assert row.startswith(f"{letter} long enough")
        assert row.rstrip().endswith("3:35")
        assert len(row) <= 80


def test_what_is_not_known_is_a_dash(service: Service, song: Path) -> None:
    silence = {
        **FOUND,
        "bpm": 120.0,
        "bpm_confidence": 0.0,
        "key": "C major",
        "key_confidence": 0.0,
        "camelot": "8B",
        "open_key": "1d",
    }
    service.on("POST", "/analyze", json_answer(silence))
    result = run(song, "--server", service.url)
    cells = ["My", "[song].mp3", *["-"] * 6, "3:35"]
    assert result.stdout.splitlines()[-1].split() == cells


def test_a_range_of_tempos_is_sent(service: Service, song: Path) -> None:
    service.on("POST", "/analyze", json_answer(FOUND))
    result = run(song, "--bpm-range", "88 - 175", "--server", service.url)
    assert result.exit_code == 0
    (asked,) = service.asked("POST", "/analyze")
    assert b'name="bpm_range"\r\n\r\n88-175\r\n' in asked.body
    result = run(song, "--bpm-range", "fast", "--server", service.url)
    assert result.exit_code == 1
    assert "'fast' is not a valid range of tempos" in result.stderr
    assert len(service.asked("POST", "/analyze")) == 1


def test_the_least_that_a_server_promises_is_enough(
    service: Service, song: Path
) -> None:
    least = {"bpm": 90, "key": "A minor", "duration": 1.0, "sample_rate": 8_000}
    service.on("POST", "/analyze", json_answer(least))
    result = run(song, "--server", service.url)
    assert result.exit_code == 0
    assert "A minor" in result.stdout


def test_programs_get_an_object_a_line_in_the_order_asked_for(
    service: Service, tmp_path: Path
) -> None:
    songs = [tmp_path / f"{number}.mp3" for number in range(5)]
    for song in songs:
        song.write_bytes(b"music")
    service.on("POST", "/analyze", json_answer(FOUND))
    result = run(*songs, "--json", "--server", service.url)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["file"] for line in lines] == [str(song) for song in songs]
    assert {**lines[0], "file": None} == {**FOUND, "file": None}


def test_a_song_that_fails_is_told_and_the_others_are_shown(
    service: Service, song: Path, tmp_path: Path
) -> None:
    missing = tmp_path / "missing.mp3"
    service.on("POST", "/analyze", json_answer(FOUND))
    result = run(missing, song, "--json", "--server", service.url)
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 1
    assert "No such file" in result.stderr


def test_no_song_at_all_prints_no_table(service: Service, song: Path) -> None:
    service.on("POST", "/analyze", problem(422, "It is not audio."))
    result = run(song, "--server", service.url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"{song}: It is not audio.\n"


def test_a_folder_is_analysed_and_summed_up(service: Service, tmp_path: Path) -> None:
    for name in ("b.mp3", "a.mp3", "cover.jpg"):
        (tmp_path / name).write_bytes(b"music")
    service.on("POST", "/analyze", json_answer(FOUND))
    result = run(tmp_path, "--server", service.url)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1].startswith("2 songs: 2 analysed, ")
    assert result.stdout.splitlines()[-1].endswith("x real time")
    quiet = run(tmp_path, "--quiet", "--server", service.url)
    assert "2 songs" not in quiet.stdout
    assert quiet.stdout.count("C# minor") == 2


@pytest.mark.parametrize("answer", [{}, {"bpm": "fast", "key": "A"}, {"bpm": 90}])
def test_what_is_no_analysis_is_told(
    answer: dict[str, object], service: Service, song: Path
) -> None:
    service.on("POST", "/analyze", json_answer(answer))
    result = run(song, "--server", service.url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no tempo and key" in result.stderr
