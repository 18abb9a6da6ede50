"""A store and an outbox on a database of their own, and the time as it is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_app.database import Database
from serve_app.webhooks.outbox import Outbox
from tests.jobs import ManualClock, SongStore, new_store
from tests.unit.webhooks.receiver import Receiver


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(f"sqlite:///{tmp_path / 'jobs.sqlite3'}") as database:
        yield database


@pytest.fixture
def outbox(database: Database, clock: ManualClock) -> Outbox:
    return Outbox(database, clock)


@pytest.fixture
def store(database: Database, clock: ManualClock, outbox: Outbox) -> SongStore:
    return new_store(database, clock, outbox.post)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver("127.0.0.1") as receiver:
        yield receiver
