"""Disks that run full: noticed before, and told from what is broken."""

import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from serve_app.errors import StorageFull


@dataclass(frozen=True)
class DiskReserve:
    """So many bytes that are to stay free on the disks of some directories, by name.

    They are for the songs that were accepted: no others are taken while there is less.
    """

    directories: Mapping[str, Path] = field(default_factory=dict)
    reserve_bytes: int = 0

    def free_bytes(self) -> Mapping[str, int]:
        """Return what is free for the service on the disk of each directory."""
        found = {}
        for name, directory in self.directories.items():
            # One that is not there yet will be made on the disk of those above it.
            for place in (directory, *directory.parents):
                with suppress(OSError):
                    found[name] = shutil.disk_usage(place).free
                    break
        return found

    def lack(self, free_bytes: Mapping[str, int]) -> str | None:
        """Say what has less than the reserve; None if nothing has."""
        short = [
            f"{name}: {free // 1024**2} MiB"
            for name, free in free_bytes.items()
            if free < self.reserve_bytes
        ]
        if not short:
            return None
        return (
            f"The disk is nearly full ({', '.join(short)}). Songs are refused until "
            f"{self.reserve_bytes // 1024**2} MiB are free again; try again later."
        )

    def check(self) -> None:
        """Raise StorageFull while there is less than the reserve."""
        if reason := self.lack(self.free_bytes()):
            raise StorageFull(reason)
