"""What the dispatcher's replica does for songs beside running them."""

import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from deployments.pool import Pool
from deployments.stems import _sweep_orphans, client_songs
from serve_app.database import Database
from serve_app.jobs.expiry import Expiry
from serve_app.stems.kind import FOLDERS
from serve_app.storage.local import LocalStorage
from tests.jobs import ManualClock, new_store

GRACE = 3600.0


class Uploads:
    """Direct uploads that take note of what is swept."""

    seconds = 600

    def __init__(self) -> None:
        self.swept: list[tuple[datetime, Sequence[str]]] = []

    def sweep(self, before: datetime, folders: Sequence[str]) -> int:
        """Take note."""
        self.swept.append((before, folders))
        return 0


@pytest.mark.parametrize(
    ("songs_at_once", "calls", "replicas", "most"),
    [(4, 8, 1, 4), (4, 8, 3, 12), (8, 8, 1, 7), (20, 8, 2, 14), (1, 8, 1, 1)],
)
def test_one_client_leaves_a_place_in_each_separator(
    songs_at_once: int, calls: int, replicas: int, most: int
) -> None:
    pool = Pool(max_ongoing_requests=calls, num_replicas=replicas)
    assert client_songs(pool, songs_at_once) == most
    assert most < replicas * min(songs_at_once + 1, calls)


def test_a_separator_with_one_place_is_for_whoever_comes() -> None:
    assert client_songs(Pool(max_ongoing_requests=1), 4) == 1


def test_uploads_are_spared_for_as_long_as_they_may_take(tmp_path: Path) -> None:
    """In S3 a file is as old as the upload that made it."""
    clock, uploads = ManualClock(), Uploads()
    storage = LocalStorage(tmp_path / "files")
    (tmp_path / "song").write_bytes(b"sound")
    for key in ("uploads/a/7", "originals/a"):
        storage.put(key, tmp_path / "song")
        os.utime(tmp_path / "files" / key, (clock.now.timestamp(),) * 2)
    kernel = SimpleNamespace(
        settings=SimpleNamespace(orphan_grace_seconds=GRACE),
        uploads=uploads,
        clock=clock,
    )

    def left() -> set[str]:
        return {file.key for file in storage.list("")}

    with Database(f"sqlite:///{tmp_path / 'jobs.sqlite3'}") as database:
        expiry = Expiry(new_store(database, clock), storage, clock)
        clock.advance(GRACE + uploads.seconds)
        _sweep_orphans(kernel, expiry)
        assert left() == {"uploads/a/7"}
        clock.advance(1)
        _sweep_orphans(kernel, expiry)
        assert left() == set()
    gone = timedelta(seconds=GRACE + uploads.seconds)
    assert uploads.swept[-1] == (clock.now - gone, FOLDERS)
