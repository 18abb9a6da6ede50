"""Rows, stores and sources for the tests of streaming."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_app.database import Database
from serve_app.storage.local import LocalStorage
from tests.unit.archive.http.streaming.service import Origin, Rows, StoredObjects
from tests.unit.archive.http.streaming.service import origin as running_origin


@pytest.fixture
def rows(tmp_path: Path, empty_database: Path) -> Iterator[Rows]:
    shutil.copy(empty_database, tmp_path / "jobs.sqlite3")
    with Database(f"sqlite:///{tmp_path / 'jobs.sqlite3'}") as database:
        yield Rows(database)


@pytest.fixture
def objects(tmp_path: Path) -> StoredObjects:
    return StoredObjects(LocalStorage(tmp_path / "objects"))


@pytest.fixture
def origin() -> Iterator[Origin]:
    with running_origin() as found:
        yield found
