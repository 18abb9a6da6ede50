"""The files below a directory, and how many bytes a command added to them."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

# Inode, time of change in nanoseconds, and size in bytes, by path.
Snapshot = Mapping[str, tuple[int, int, int]]


def snapshot(root: Path) -> Snapshot:
    """Return all regular files below `root`."""
    return {
        entry.path: (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        for entry in _files(root)
        for stat in (entry.stat(follow_symlinks=False),)
    }


def added_bytes(before: Snapshot, after: Snapshot) -> int:
    """Return the size of the files that are new or changed; of hard links, once."""
    changed = {
        inode: size
        for path, (inode, changed_ns, size) in after.items()
        if before.get(path) != (inode, changed_ns, size)
    }
    return sum(changed.values())


def _files(root: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(root) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(Path(entry.path))
            elif entry.is_file(follow_symlinks=False):
                yield entry
