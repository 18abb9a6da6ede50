"""The engines and stores that the contracts are held against.

Another one is another fixture and another name among the `params`.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_app.jobs.store import JobStore
from serve_app.storage.local import LocalStorage
from serve_app.storage.port import Storage
from tests.jobs import ManualClock


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database without jobs, to copy: making one takes longer than most tests."""
    path = tmp_path_factory.mktemp("sqlite") / "jobs.sqlite3"
    JobStore(f"sqlite:///{path}", ManualClock()).close()
    return path


@pytest.fixture
def sqlite_url(empty_sqlite: Path, tmp_path: Path) -> str:
    path = shutil.copy(empty_sqlite, tmp_path / "jobs.sqlite3")
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite_url"])
def database_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(request.param)
    return url


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(database_url: str, clock: ManualClock) -> Iterator[JobStore]:
    store = JobStore(database_url, clock)
    yield store
    store.close()


@pytest.fixture
def local_storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "files")


@pytest.fixture(params=["local_storage"])
def storage(request: pytest.FixtureRequest) -> Storage:
    storage: Storage = request.getfixturevalue(request.param)
    return storage
