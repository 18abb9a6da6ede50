"""Files of one download share its room."""

from pathlib import Path

import pytest

from serve_app.archive.downloads.room import Room, disk_errors
from serve_app.archive.errors import DiskFull, MediaTooLarge
from serve_app.errors import StorageUnavailable


def test_sizes_are_counted_together_and_again_from_zero(tmp_path: Path) -> None:
    room = Room(tmp_path, 100, 0)
    room.resize("a", 60)
    with pytest.raises(MediaTooLarge, match="at most 100 bytes; it has at least 101"):
        room.resize("b", 41)
    room.resize("b", 0)
    room.resize("a", 20)
    room.expect("b", 80)
    with pytest.raises(MediaTooLarge):
        room.expect("b", 81)
    assert room.total_bytes == 20


def test_more_than_the_disk_has_is_refused(tmp_path: Path) -> None:
    room = Room(tmp_path, 10**18, 0)
    with pytest.raises(DiskFull, match="MB of free space"):
        room.expect("a", 10**17)


def test_errors_of_a_disk_say_what_to_do() -> None:
    with pytest.raises(DiskFull), disk_errors():
        raise OSError(28, "No space left on device")
    with pytest.raises(StorageUnavailable, match="Read-only"), disk_errors():
        raise OSError(30, "Read-only file system")
