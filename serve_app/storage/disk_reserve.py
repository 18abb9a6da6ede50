"""The free disk space that is reserved for accepted songs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from serve_app.errors import StorageFull
from serve_app.storage import disks


@dataclass(frozen=True)
class DiskReserve:
    """The bytes to keep free on the disks of `directories`, which are given by name.

    They are reserved for accepted songs: while less is free, new songs are refused.
    """

    directories: Mapping[str, Path] = field(default_factory=dict)
    reserve_bytes: int = 0

    def free_bytes(self) -> Mapping[str, int]:
        """Return the free bytes on the disk of each directory, by its name."""
        found = disks.usages(self.directories)
        return {name: disk.free_bytes for name, disk in found.items()}

    def lack(self, free_bytes: Mapping[str, int]) -> str | None:
        """Return a message about disks with less than the reserve, or None."""
        short = [
            f"{name}: {free // 1024**2} MiB"
            for name, free in free_bytes.items()
            if free < self.reserve_bytes
        ]
        if not short:
            return None
        return (
            f"The disk is nearly full ({', '.join(short)} free). New songs are refused "
            f"until {self.reserve_bytes // 1024**2} MiB are free. Try again later."
        )

    def check(self) -> None:
        """Raise StorageFull while less than the reserve is free."""
        if reason := self.lack(self.free_bytes()):
            raise StorageFull(reason)
