"""A full disk is told from a broken one, and before it is full."""

import errno
from pathlib import Path

import pytest

from serve_app.errors import StorageFull, disk_full_as_unavailable
from serve_app.storage.disk_reserve import DiskReserve
from tests.disks import SmallDisk


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_or_a_quota_that_is_full_is_away(code: int) -> None:
    with pytest.raises(StorageFull, match="full"), disk_full_as_unavailable():
        raise OSError(code, "No room")


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Broken"), ValueError("Wrong")])
def test_any_other_error_stays_what_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, disk_full_as_unavailable():
        raise error
    assert caught.value is error


def test_songs_are_refused_while_there_is_less_than_the_reserve(
    small_disk: SmallDisk, tmp_path: Path
) -> None:
    """Also where the directory is still to be made."""
    directories = {"here": tmp_path, "files": small_disk.path / "not" / "yet"}
    reserve = DiskReserve(directories, 8 * 1024**2)
    reserve.check()
    with small_disk.filled(4 * 1024**2):
        assert reserve.free_bytes()["files"] == small_disk.free_bytes
        with pytest.raises(StorageFull, match=r"files: 4 MiB.*8 MiB are free"):
            reserve.check()
    reserve.check()


def test_without_directories_nothing_is_refused() -> None:
    DiskReserve({}, 1024**5).check()
