"""The disks that directories are on."""

import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DiskUsage:
    """The size of a disk and the free space on it."""

    size_bytes: int
    free_bytes: int


def usages(directories: Mapping[str, Path]) -> Mapping[str, DiskUsage]:
    """Return the disk usage of each directory, by its name, if it can be read."""
    found = {}
    for name, directory in directories.items():
        # A missing directory will be created on the disk of its parent.
        for place in (directory, *directory.parents):
            with suppress(OSError):
                usage = shutil.disk_usage(place)
                found[name] = DiskUsage(usage.total, usage.free)
                break
    return found
