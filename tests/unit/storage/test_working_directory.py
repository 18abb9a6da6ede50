"""Working directories go with their work, or with the death of their process."""

import errno
import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from serve_app.storage.working_directory import sweep, working_directory

HOLD = """
import sys, time
from pathlib import Path
from serve_app.storage.working_directory import working_directory
with working_directory(Path(sys.argv[1]), "held-") as directory:
    (directory / "file").write_text("x")
    print(directory, flush=True)
    time.sleep(60)
"""


def directories(root: Path) -> list[Path]:
    return [path for path in root.iterdir() if path.is_dir()]


def test_it_is_gone_after_its_block_and_after_an_error(tmp_path: Path) -> None:
    try:
        with working_directory(tmp_path, "job-") as directory:
            (directory / "file").write_text("x")
            raise RuntimeError
    except RuntimeError:
        assert directories(tmp_path) == []


def test_what_a_killed_process_left_goes_and_what_is_used_stays(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        left = Path(holder.stdout.readline().strip())
        sweep(tmp_path)
        assert (left / "file").exists(), "a living process lost its files"
        holder.kill()
        holder.wait()
        with working_directory(tmp_path, "job-") as directory:
            assert not left.exists()
            sweep(tmp_path)
            assert directory.exists(), "a sweep took the sweeper's own directory"


def test_a_missing_root_has_nothing_to_sweep(tmp_path: Path) -> None:
    sweep(tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("code", [errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP])
def test_without_locks_there_is_a_directory_and_nothing_is_swept(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "job-of another").mkdir()

    def flock(descriptor: int, operation: int) -> None:
        raise OSError(code, "no locks here")

    monkeypatch.setattr(fcntl, "flock", flock)
    with working_directory(tmp_path, "job-") as directory:
        assert directory.is_dir()
    assert directories(tmp_path) == [tmp_path / "job-of another"]


def test_in_a_root_of_others_only_what_is_called_alike_is_swept(tmp_path: Path) -> None:
    for name in ("job-left", "a song", ".hidden"):
        (tmp_path / name).mkdir()
    with working_directory(tmp_path, "job-", has_root_alone=False):
        assert not (tmp_path / "job-left").exists()
    assert {path.name for path in directories(tmp_path)} == {"a song", ".hidden"}
