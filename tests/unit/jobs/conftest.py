"""A store on a database of its own, and a clock."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_app.database import Database
from tests.jobs import ManualClock, SongStore, new_store


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'jobs.sqlite3'}"


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    with Database(url) as database:
        yield database


@pytest.fixture
def store(database: Database, clock: ManualClock) -> SongStore:
    return new_store(database, clock)
