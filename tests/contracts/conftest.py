"""The databases and file stores that the contracts test.

To add one, write a fixture and add its name to the `params`.
"""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from serve_app.database import Database
from serve_app.database.columns import metadata
from serve_app.storage.hub import HubStorage
from serve_app.storage.hub_connection import HubRepository
from serve_app.storage.local import LocalStorage
from serve_app.storage.port import Storage
from serve_app.storage.s3 import S3Storage
from serve_app.storage.sharded import ShardedStorage
from tests.databases import Postgres
from tests.hub import TOKEN, Hub
from tests.jobs import ManualClock, SongStore, new_store
from tests.old_tables.api_server import ApiServer
from tests.s3 import S3Server


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database to copy: creating one takes longer than most tests."""
    path = tmp_path_factory.mktemp("sqlite") / "jobs.sqlite3"
    Database(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def sqlite_url(empty_sqlite: Path, tmp_path: Path) -> str:
    path = shutil.copy(empty_sqlite, tmp_path / "jobs.sqlite3")
    return f"sqlite:///{path}"


@pytest.fixture(scope="package")
def empty_postgres(postgres: Postgres) -> Iterator[str]:
    """A database to reuse: truncating its tables is faster than creating one."""
    with postgres.new_database() as url:
        Database(url).close()
        yield url


@pytest.fixture
def postgres_url(empty_postgres: str) -> str:
    with Database(empty_postgres) as database, database.writing() as connection:
        connection.execute(text(f"TRUNCATE {', '.join(metadata.tables)}"))
    return empty_postgres


@pytest.fixture(params=["sqlite_url", "postgres_url"])
def database_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(request.param)
    return url


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with Database(database_url) as database:
        yield database


@pytest.fixture
def store(database: Database, clock: ManualClock) -> SongStore:
    return new_store(database, clock)


@pytest.fixture
def local_storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "files")


@pytest.fixture
def s3_storage(s3: S3Server) -> Iterator[S3Storage]:
    with s3.new_bucket() as bucket:
        yield S3Storage(bucket)


@pytest.fixture
def sharded_storage(s3: S3Server, tmp_path: Path) -> Iterator[ShardedStorage]:
    """Two directories and a bucket, with two copies of each file."""
    with s3.new_bucket() as bucket:
        stores = {
            "bucket": S3Storage(bucket),
            "left": LocalStorage(tmp_path / "left"),
            "right": LocalStorage(tmp_path / "right"),
        }
        yield ShardedStorage(stores, b"salt", copies=2)


@pytest.fixture
def exact_storage(tmp_path: Path) -> ShardedStorage:
    """Two directories, in which files have their own names."""
    stores = {name: LocalStorage(tmp_path / name) for name in ("left", "right")}
    return ShardedStorage(stores, None, copies=2)


@pytest.fixture
def hub_storage(hub: Hub) -> Iterator[HubStorage]:
    store = HubStorage(HubRepository("me/files", TOKEN, hub.url))
    yield store
    store.close()


@pytest.fixture(
    params=[
        *("local_storage", "s3_storage", "sharded_storage", "exact_storage"),
        "hub_storage",
    ]
)
def storage(request: pytest.FixtureRequest) -> Storage:
    storage: Storage = request.getfixturevalue(request.param)
    return storage


@pytest.fixture(scope="package")
def old_api_url(postgres: Postgres) -> Iterator[str]:
    """A database with the old API's tables."""
    with postgres.new_database() as url:
        with closing(ApiServer(url)) as server:
            server.create()
        yield url


@pytest.fixture
def api(old_api_url: str) -> Iterator[ApiServer]:
    """The API server, with empty tables."""
    with closing(ApiServer(old_api_url)) as server:
        server.clear()
        yield server
