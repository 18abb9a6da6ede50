"""Disks that are small enough to be filled, and the files that are open on them."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

PAGE_BYTES = 4096
_PIECE_BYTES = 1024**2


@dataclass(frozen=True)
class SmallDisk:
    """A file system of its own at `path`, in memory."""

    path: Path

    @property
    def free_bytes(self) -> int:
        """What can still be written to it."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def fill(self, room_bytes: int = 0) -> None:
        """Leave so much room on it, until `empty`; once more if others made room."""
        filler = self.path / ".filler"
        # Others may take some of the room meanwhile.
        with suppress(OSError), filler.open("ab", buffering=0) as file:
            while (size_bytes := self.free_bytes - room_bytes) > 0:
                file.write(bytes(min(size_bytes, _PIECE_BYTES)))

    def empty(self) -> None:
        """Undo `fill`."""
        (self.path / ".filler").unlink(missing_ok=True)

    @contextmanager
    def filled(self, room_bytes: int = 0) -> Iterator[None]:
        """Leave so much room on it for the length of the block."""
        self.fill(room_bytes)
        try:
            yield
        finally:
            self.empty()


@contextmanager
def mounted(path: Path, size_bytes: int) -> Iterator[SmallDisk]:
    """Mount a small disk; skips the test where that is not allowed."""
    path.mkdir(parents=True, exist_ok=True)
    options = ("-t", "tmpfs", "-o", f"size={size_bytes}", "stemserve-test")
    try:
        subprocess.run(["mount", *options, path], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as err:
        said = getattr(err, "stderr", b"").decode().strip()
        pytest.skip(f"NOT TESTED: no tmpfs can be mounted here ({said or err})")
    try:
        yield SmallDisk(path)
    finally:
        # Lazily, or a test's failure that keeps a file open would hide behind another.
        subprocess.run(["umount", "--lazy", path], check=True)


def allocated_bytes(path: Path) -> int:
    """Return what a file takes of its disk."""
    return path.stat().st_blocks * 512


def open_files(root: Path, process: psutil.Process | None = None) -> list[str]:
    """Return what a process, or this one, has open below `root`."""
    found = []
    pid = "self" if process is None else str(process.pid)
    with suppress(FileNotFoundError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                found.append(os.readlink(link))
    return [path for path in found if path.startswith(f"{root}/")]


def deleted_files(root: Path, process: psutil.Process | None = None) -> list[str]:
    """Return what of that has been deleted, and takes room still."""
    return [path for path in open_files(root, process) if path.endswith(" (deleted)")]
