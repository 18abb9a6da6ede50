from pathlib import Path

import pytest
from sqlalchemy import text

from serve_app.errors import Unavailable
from serve_app.jobs import engine
from serve_app.jobs.store import JobStore
from tests.jobs import ManualClock, new_job


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="file"):
        engine.connect(url)


def test_the_directory_of_the_database_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "jobs.sqlite3"
    JobStore(f"sqlite:///{path}", ManualClock()).close()
    assert path.is_file()


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("busy_timeout", 30_000)],
)
def test_what_is_accepted_survives_a_power_cut_and_waiters_wait(
    store: JobStore, url: str, pragma: str, value: object
) -> None:
    database = engine.connect(url)
    with engine.begin_reading(database) as connection:
        assert connection.execute(text(f"PRAGMA {pragma}")).scalar_one() == value
    database.dispose()


def test_readers_do_not_wait_for_a_writer(store: JobStore, url: str) -> None:
    store.add(new_job(), max_queued=1)
    database = engine.connect(url)
    with database.begin() as connection:
        connection.execute(text("UPDATE jobs SET progress = 0.5"))
        assert store.get("a").progress == 0.0
    database.dispose()


def test_a_database_that_does_not_answer_is_unavailable(
    store: JobStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_SECONDS", 0.05)
    impatient = JobStore(url, ManualClock())
    database = engine.connect(url)
    with database.begin(), pytest.raises(Unavailable, match="try again"):
        impatient.add(new_job(), max_queued=1)
    impatient.add(new_job(), max_queued=1)
    impatient.close()
    database.dispose()
