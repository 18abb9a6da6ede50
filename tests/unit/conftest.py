"""A server for whoever asks for one, and a song to send to it."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from serve_app.database import Database
from tests import media
from tests.unit.server import Server, running


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the schema once: that takes longer than most tests."""
    path = tmp_path_factory.mktemp("database") / "jobs.sqlite3"
    Database(f"sqlite:///{path}").close()
    return path


@pytest.fixture
async def server(tmp_path: Path, empty_database: Path) -> AsyncIterator[Server]:
    shutil.copy(empty_database, tmp_path / "jobs.sqlite3")
    with Database(f"sqlite:///{tmp_path / 'jobs.sqlite3'}") as database:
        async with running(tmp_path, database) as server:
            yield server


@pytest.fixture(scope="session")
def song(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("songs") / "song.wav"
    media.write_song(path, "wav16", seconds=1.0)
    return path.read_bytes()
