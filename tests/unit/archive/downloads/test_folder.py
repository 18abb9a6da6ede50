"""The folder of a key is used by one at a time, and goes when nobody wants it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Timer

import pytest

from serve_app.archive.downloads import folder
from serve_app.errors import Cancelled, TryLater

HOLD = """
import sys, time
from pathlib import Path
from serve_app.archive.downloads import folder
with folder.held(Path(sys.argv[1]), "a"):
    print("held", flush=True)
    time.sleep(60)
"""
FUTURE = datetime.now(UTC) + timedelta(days=1)


def test_a_second_attempt_waits_and_then_says_so(tmp_path: Path) -> None:
    first = folder.held(tmp_path, "a")
    second = folder.held(tmp_path, "a", wait_seconds=0.3)
    with first, pytest.raises(TryLater, match="Another process") as caught, second:
        pass
    assert caught.value.delay_seconds == 30.0


def test_a_waiting_attempt_can_be_cancelled(tmp_path: Path) -> None:
    second = folder.held(tmp_path, "a", is_wanted=lambda: False)
    with folder.held(tmp_path, "a"), pytest.raises(Cancelled), second:
        pass


def test_other_keys_do_not_wait(tmp_path: Path) -> None:
    with folder.held(tmp_path, "a"), folder.held(tmp_path, "b", wait_seconds=0):
        pass


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(TryLater), folder.held(tmp_path, "a", wait_seconds=0.2):
            pass
        Timer(0.3, os.kill, (process.pid, signal.SIGKILL)).start()
        began = time.monotonic()
        with folder.held(tmp_path, "a", wait_seconds=20.0):
            assert time.monotonic() - began < 10.0


def test_a_folder_that_was_deleted_meanwhile_is_made_anew(tmp_path: Path) -> None:
    with folder.held(tmp_path, "a") as first:
        shutil.rmtree(first.path)
        with folder.held(tmp_path, "a", wait_seconds=0.2) as second:
            assert second.path.is_dir()


def test_a_sweep_deletes_what_nobody_wants(tmp_path: Path) -> None:
    for key in ("wanted", "left", "키"):
        with folder.held(tmp_path, key):
            pass
    asked: list[str] = []

    def is_wanted(key: str) -> bool:
        asked.append(key)
        return key == "wanted"

    assert folder.sweep(tmp_path, is_wanted, FUTURE) == 2
    assert sorted(asked) == ["left", "wanted", "키"]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_sweep_leaves_what_is_new_or_in_use(tmp_path: Path) -> None:
    with folder.held(tmp_path, "a"):
        assert folder.sweep(tmp_path, lambda _: False, FUTURE) == 0
    past = datetime.now(UTC) - timedelta(hours=1)
    assert folder.sweep(tmp_path, lambda _: False, past) == 0
    assert folder.sweep(tmp_path, lambda _: False, FUTURE) == 1


def test_a_sweep_of_nothing_finds_nothing(tmp_path: Path) -> None:
    assert folder.sweep(tmp_path / "missing", lambda _: False, FUTURE) == 0
