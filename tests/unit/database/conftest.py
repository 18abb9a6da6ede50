"""A database of a test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_app.database import Database


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'jobs.sqlite3'}"


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    with Database(url) as database:
        yield database
