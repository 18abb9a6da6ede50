"""`stemserve separate` with a server: stems in folders, a line for each song."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner, Result

from serve_app.cli import app
from tests.unit.client.service import (
    Service,
    Stem,
    closed_port,
    json_answer,
    problem,
)

STEMS = {name: Stem(name.encode() * 1_000) for name in ("drums", "vocals")}


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["separate", *map(str, arguments)])


def files(directory: Path) -> dict[str, bytes]:
    paths = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): path.read_bytes() for path in paths}


def test_stems_lie_in_a_folder_named_after_the_song(
    service: Service, song: Path, tmp_path: Path
) -> None:
    service.complete(STEMS, model="demo", gain=0.5)
    out = tmp_path / "out"
    result = run(song, "--out", out, "--server", service.url)
    assert result.exit_code == 0
    assert files(out) == {
        "My [song]/drums.wav": STEMS["drums"].content,
        "My [song]/vocals.wav": STEMS["vocals"].content,
    }
    assert (
        "drums.wav, vocals.wav (model demo), gain -6.0 dB to prevent clipping"
        in result.stdout
    )


def test_what_is_wanted_is_passed_on(
    service: Service, song: Path, tmp_path: Path
) -> None:
    service.complete(STEMS)
    options = ["--model", "demo", "--format", "flac", "--stems", "drums,vocals"]
    options += ["--priority", "low", "--bpm-range", "88-175"]
    run(song, "-o", tmp_path, *options, "--server", service.url)
    (request,) = service.asked("POST", "/separate")
    for field, value in (
        ("model", "demo"),
        ("format", "flac"),
        ("stems", "drums,vocals"),
        ("priority", "low"),
        ("bpm_range", "88-175"),
    ):
        assert f'name="{field}"\r\n\r\n{value}\r\n'.encode() in request.body


def test_the_server_can_be_named_by_the_environment(
    service: Service, song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMSERVE_URL", service.url)
    service.complete(STEMS)
    assert run(song, "-o", tmp_path / "out").exit_code == 0


def test_one_bad_song_fails_alone_with_the_servers_words(
    service: Service, song: Path, tmp_path: Path
) -> None:
    service.complete(STEMS)
    missing = tmp_path / "missing.mp3"
    result = run(missing, song, "-o", tmp_path / "out", "--server", service.url)
    assert result.exit_code == 1
    assert len(files(tmp_path / "out")) == 2
    assert result.stderr.splitlines() == [
        f"{missing} can't be read: No such file or directory."
    ]


def test_a_refusal_is_told_in_the_servers_words(
    service: Service, song: Path, tmp_path: Path
) -> None:
    service.on("POST", "/separate", problem(422, "There is no model 'x'."))
    result = run(song, "-o", tmp_path / "out", "--server", service.url)
    assert result.exit_code == 1
    assert result.stderr == f"{song}: There is no model 'x'.\n"
    assert files(tmp_path / "out") == {}


def test_a_failed_job_is_told(service: Service, song: Path, tmp_path: Path) -> None:
    service.on("POST", "/separate", json_answer({"job_id": "j1"}))
    job = {"status": "failed", "error": "It is\ndamaged."}
    service.on("GET", "/job/j1", json_answer(job))
    result = run(song, "-o", tmp_path, "--server", service.url)
    assert result.exit_code == 1
    assert result.stderr == f"{song}: It is\ufffddamaged.\n"


def test_a_job_without_stems_is_told(
    service: Service, song: Path, tmp_path: Path
) -> None:
    service.complete({})
    result = run(song, "-o", tmp_path, "--server", service.url)
    assert result.exit_code == 1
    assert "without any stem" in result.stderr


def test_a_place_that_can_not_be_written_is_told(
    service: Service, song: Path, tmp_path: Path
) -> None:
    service.complete(STEMS)
    (tmp_path / "out").write_text("a file")
    result = run(song, "-o", tmp_path / "out", "--server", service.url)
    assert result.exit_code == 1
    assert "Not a directory" in result.stderr


@pytest.mark.parametrize("typed", ["localhost:8000", "ftp://a.example", "http://[::"])
def test_an_address_that_is_none_is_told_as_typed(
    song: Path, tmp_path: Path, typed: str
) -> None:
    result = run(song, "-o", tmp_path, "--server", typed)
    assert result.exit_code == 1
    assert f"'{typed}' is not a valid server address" in result.stderr


def test_songs_of_one_name_get_folders_of_their_own(
    service: Service, tmp_path: Path
) -> None:
    service.complete(STEMS)
    songs = [tmp_path / name for name in ("a/one.mp3", "b/One.wav", "a/....mp3")]
    for song in songs:
        song.parent.mkdir(exist_ok=True)
        song.write_bytes(b"music")
    out = tmp_path / "out"
    assert run(*songs, songs[0], "-o", out, "--server", service.url).exit_code == 0
    assert {path.name for path in out.iterdir()} == {"one", "One (2)", "song"}


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_any_song_gets_a_folder_that_any_system_takes(
    service: Service, tmp_path: Path, encoding: str
) -> None:
    service.complete(STEMS)
    folders = {
        b"Mr. Brightside": "Mr. Brightside",
        b'Blue Monday (12" Mix).wav': "Blue Monday (12_ Mix)",
        b"back\\slash.wav": "back_slash",
        b"CON.mp3": "_CON",
        b".hidden.mp3": "hidden",
        b"two\nlines.mp3": "two lines",
        b"caf\xe9.mp3": "café",
        "夜に駆ける.mp3".encode("cp932"): "夜に駆ける",
        ("음" * 84).encode(): "음" * 80,
    }
    songs = [tmp_path / os.fsdecode(name) for name in folders]
    for song in songs:
        song.write_bytes(b"music")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "serve_app.cli", "separate", *map(str, songs)]
    done = subprocess.run(
        [*command, "--out", str(out), "--server", service.url],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("drums.wav, vocals.wav (model unknown)\n") == len(songs)
    assert {path.name for path in out.iterdir()} == set(folders.values())


def test_a_song_without_utf_8_that_fails_is_named(
    service: Service, tmp_path: Path
) -> None:
    song = tmp_path / os.fsdecode(b"caf\xe9.mp3")
    result = run(song, "-o", tmp_path / "out", "--server", service.url)
    assert result.exit_code == 1
    assert "café.mp3 can't be read: No such file" in result.stderr


def test_programs_get_an_object_for_each_song_and_nothing_else(
    service: Service, song: Path, tmp_path: Path
) -> None:
    service.complete(STEMS, model="demo", gain=0.5, duration=2.5)
    missing, out = tmp_path / "missing.mp3", tmp_path / "out"
    result = run(song, missing, "-o", out, "--json", "--server", service.url)
    assert result.exit_code == 1
    objects = {one["song"]: one for one in map(json.loads, result.stdout.splitlines())}
    separated = objects.pop(str(song))
    assert separated.pop("seconds") >= 0.0
    assert separated == {
        "song": str(song),
        "files": {
            "drums": str(out / "My [song]" / "drums.wav"),
            "vocals": str(out / "My [song]" / "vocals.wav"),
        },
        "model": "demo",
        "gain": 0.5,
        "duration": 2.5,
    }
    error = f"{missing} can't be read: No such file or directory."
    assert objects == {str(missing): {"song": str(missing), "error": error}}


def test_each_line_of_many_songs_is_whole(service: Service, tmp_path: Path) -> None:
    service.complete(STEMS)
    songs = [tmp_path / f"{number}.mp3" for number in range(40)]
    for song in songs:
        song.write_bytes(b"music")
    arguments = (*songs, "-o", tmp_path / "out", "--json", "--server", service.url)
    lines = run(*arguments).stdout.splitlines()
    assert {json.loads(line)["song"] for line in lines} == set(map(str, songs))


def test_a_quiet_run_says_errors_only(
    service: Service, song: Path, tmp_path: Path
) -> None:
    service.complete(STEMS)
    arguments = ("-o", tmp_path / "out", "--quiet", "--server", service.url)
    assert run(song, *arguments).output == ""
    result = run(song, tmp_path / "missing.mp3", *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 1


def test_a_folder_is_separated_and_summed_up(
    service: Service, song: Path, tmp_path: Path
) -> None:
    service.complete(STEMS, duration=60)
    folder = tmp_path / "songs"
    (folder / "album").mkdir(parents=True)
    for name in ("b.mp3", "album/a.flac", "cover.jpg", ".hidden.mp3"):
        (folder / name).write_bytes(b"music")
    # Twice: the second run must not separate the stems of the first.
    for _ in range(2):
        result = run(folder, "-o", folder / "stems", "--server", service.url)
        assert result.exit_code == 0
        assert sorted(files(folder / "stems")) == [
            *("a/drums.wav", "a/vocals.wav", "b/drums.wav", "b/vocals.wav")
        ]
        lines = result.stdout.splitlines()
        assert len(lines) == 3
        assert re.fullmatch(
            r"2 songs: 2 separated, \d+\.\d s, \d+\.\dx real time", lines[-1]
        )


def test_a_folder_without_songs_is_said(service: Service, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    out = tmp_path / "out"
    result = run(tmp_path / "empty", "-o", out, "--server", service.url)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {tmp_path / 'empty'} contains no file")
    assert not out.exists()


def test_a_server_that_is_not_there_is_said_soon_and_once(
    song: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.mp3"
    other.write_bytes(b"music")
    url = f"http://127.0.0.1:{closed_port()}"
    began = time.monotonic()
    result = run(song, other, "-o", tmp_path / "out", "--server", url)
    assert time.monotonic() - began < 10.0
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    for words in (url, "is unreachable", "stemserve serve", "--local"):
        assert words in line
    assert not (tmp_path / "out").exists()


def test_a_restart_of_the_server_goes_unnoticed(song: Path, tmp_path: Path) -> None:
    first = Service()
    port = int(first.url.rpartition(":")[2])
    first.on("POST", "/separate", json_answer({"job_id": "j1"}))
    first.on("GET", "/job/j1", json_answer({"status": "processing"}))

    def restart() -> None:
        _until(lambda: bool(first.asked("GET", "/job/j1")))
        first.close()
        time.sleep(1.0)
        again.append(Service(port))
        again[0].complete(STEMS)

    again: list[Service] = []
    restarting = Thread(target=restart)
    restarting.start()
    result = run(song, "-o", tmp_path / "out", "--server", first.url)
    restarting.join()
    again[0].close()
    assert (result.exit_code, result.stderr) == (0, "")
    assert len(files(tmp_path / "out")) == 2


def test_a_person_at_a_terminal_sees_words_and_the_time_left(
    service: Service, song: Path, tmp_path: Path
) -> None:
    running = {"status": "processing", "progress": 40, "stage": "separate"}
    service.on("POST", "/separate", json_answer({"job_id": "j1"}))
    service.on(
        "GET",
        "/job/j1",
        json_answer({"status": "pending", "progress": 0}),
        json_answer({**running, "eta_seconds": 83.2}),
        problem(503, "It restarts."),
    )
    service.complete(STEMS)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "serve_app.cli", "separate", str(song)]
    command += ["--out", str(tmp_path / "out"), "--server", service.url]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        seen = b""
        # When the program exits, the terminal is closed: on Linux reads raise OSError.
        with suppress(OSError):
            while piece := os.read(ours, 4096):
                seen += piece
        said, _ = process.communicate()
    os.close(ours)
    assert process.returncode == 0
    shown = re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", seen).decode()
    for words in (
        "My [song].mp3",
        "waiting",
        "separating",
        "1:23 left",
        "is unavailable",
    ):
        assert words in shown
    # Results are on stdout, progress is on stderr.
    assert said.decode().startswith(f"{tmp_path / 'out' / 'My [song]'}: drums.wav")


@pytest.fixture
def started(song: Path, tmp_path: Path) -> Sequence[str]:
    out = str(tmp_path / "out")
    return [sys.executable, "-m", "serve_app.cli", "separate", str(song), "--out", out]


def test_ctrl_c_cancels_the_job_on_the_server(
    service: Service, started: Sequence[str], tmp_path: Path
) -> None:
    service.on("POST", "/separate", json_answer({"job_id": "j1"}))
    service.on("GET", "/job/j1", json_answer({"status": "processing", "progress": 5}))
    service.on("DELETE", "/job/j1", json_answer({"success": True}))
    command = [*started, "--server", service.url]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        _until(lambda: bool(service.asked("GET", "/job/j1")))
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=60)
    assert process.returncode == 130
    assert complaints == "Cancelling. Press Ctrl-C again to exit at once.\n"
    assert len(service.asked("DELETE", "/job/j1")) == 1
    assert files(tmp_path / "out") == {}


def test_ctrl_c_ends_the_wait_for_a_server(started: Sequence[str]) -> None:
    with Service() as service:
        service.on("POST", "/separate", problem(429, "Full.", Retry_After="600"))
        command = [*started, "--server", service.url]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
            _until(lambda: bool(service.requests))
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
    assert process.returncode == 130


def _until(condition: Callable[[], bool], timeout_seconds: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)
