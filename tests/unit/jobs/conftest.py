"""A store on a database of its own, and a clock."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_app.jobs.store import JobStore
from tests.jobs import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'jobs.sqlite3'}"


@pytest.fixture
def store(url: str, clock: ManualClock) -> Iterator[JobStore]:
    store = JobStore(url, clock)
    yield store
    store.close()
