"""Only complete results are left in OUT, whatever ends a run.

The runs are separate processes with a separator that writes until it is cancelled; the
handling of signals is that of the command line.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from serve_app.cli import output
from serve_app.errors import InvalidInput

RUN = r"""
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from serve_app.cli import separation
from serve_app.cli import local
from serve_app.cli.progress import OutputMode
from serve_app.errors import Cancelled
from serve_app.cli import commands

HEEDS = sys.argv[1] == "heeds"

@contextmanager
def separator(options, display, interrupt):
    def separate(song, directory, track):
        for number in range(10**6):
            (directory / f"drums{number % 9}.wav").write_bytes(b"unfinished")
            if number == 20:
                # One write: two songs print it.
                sys.stdout.write("busy\n")
                sys.stdout.flush()
            time.sleep(0.005)
            if HEEDS:
                interrupt.check()
    yield separation.Separator(separate, 2)

local.separator = separator
songs, out = sys.argv[2:-1], sys.argv[-1]
commands.app(["separate", "--local", *songs, "--out", out])
"""


@contextmanager
def running(out: Path, heeds: str = "heeds") -> Iterator["subprocess.Popen[str]"]:
    """Yield a run that processes two songs and has two more to do."""
    songs = [str(out.parent / f"{name}.mp3") for name in "abcd"]
    command = [sys.executable, "-c", RUN, heeds, *songs, str(out)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            for _ in range(2):
                assert process.stdout.readline() == "busy\n"
            assert unfinished(out)
            yield process
        finally:
            process.kill()


def unfinished(out: Path) -> list[Path]:
    return list(out.glob(".stemserve-*/*/drums*.wav"))


@pytest.mark.parametrize("place", ["out", "new/out"])
@pytest.mark.parametrize(
    ("ending", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
)
def test_a_run_that_is_ended_leaves_nothing(
    ending: signal.Signals, code: int, place: str, tmp_path: Path
) -> None:
    with running(tmp_path / place) as process:
        process.send_signal(ending)
        said, complaints = process.communicate(timeout=30)
    assert process.returncode == code
    assert complaints == "Cancelling. Press Ctrl-C again to exit at once.\n"
    assert "4 songs: 0 separated, 4 not done" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "again", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda one: one.name
)
def test_the_second_signal_leaves_at_once_and_nothing_too(
    again: signal.Signals, tmp_path: Path
) -> None:
    with running(tmp_path / "out", "is deaf") as process:
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert process.stderr.readline().startswith("Cancelling")
        process.send_signal(again)
        process.communicate(timeout=30)
    assert process.returncode == 128 + again
    assert list(tmp_path.rglob("drums*")) == []


def test_what_was_there_before_stays(tmp_path: Path) -> None:
    older = tmp_path / "out" / "a" / "drums.wav"
    older.parent.mkdir(parents=True)
    older.write_bytes(b"older")
    (tmp_path / "out" / "b").mkdir()
    with running(tmp_path / "out") as process:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left == {"out", "out/a", "out/a/drums.wav", "out/b"}


def test_what_a_killed_run_left_goes_with_the_next(tmp_path: Path) -> None:
    mine = tmp_path / "out" / "my own"
    mine.mkdir(parents=True)
    with running(tmp_path / "out") as living, running(tmp_path / "out") as killed:
        _until(lambda: len(set(_parents(tmp_path / "out"))) == 2)
        killed.kill()
        killed.wait()
        with output.opened(tmp_path / "out"):
            # The directories of the other run, and of this one, which has no song yet.
            assert len(set(_parents(tmp_path / "out"))) == 1
        living.send_signal(signal.SIGTERM)
        living.communicate(timeout=30)
    assert list((tmp_path / "out").iterdir()) == [mine]


def test_whole_files_appear_in_their_place(tmp_path: Path) -> None:
    with output.opened(tmp_path / "out") as results:
        with results.song_directory() as directory:
            (directory / "drums.wav").write_bytes(b"drums")
            (directory / "scrap").write_bytes(b"scrap")
            place = tmp_path / "out" / "song"
            files = results.publish([directory / "drums.wav"], place)
        assert files == [place / "drums.wav"]
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left == {"out", "out/song", "out/song/drums.wav"}


def test_a_song_that_can_not_be_moved_leaves_no_empty_place(tmp_path: Path) -> None:
    with output.opened(tmp_path / "out") as results:
        with pytest.raises(FileNotFoundError):
            results.publish([tmp_path / "none.wav"], tmp_path / "out" / "song")
        assert not (tmp_path / "out" / "song").exists()


@pytest.mark.parametrize("place", ["file", "file/out", "file/a/b"])
def test_a_place_that_is_no_directory_is_said(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    with (
        pytest.raises(InvalidInput, match=r"Not a directory\. --out must be a "),
        output.opened(tmp_path / place),
    ):
        pass


def _parents(out: Path) -> list[Path]:
    return [path.parent.parent for path in unfinished(out)]


def _until(condition: Callable[[], bool], timeout_seconds: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)
