from pathlib import Path

import pytest
from sqlalchemy import text

from serve_app.database import Database, engine
from serve_app.errors import Unavailable


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="file"):
        engine.connect(url)


def test_the_directory_of_the_database_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "jobs.sqlite3"
    Database(f"sqlite:///{path}").close()
    assert path.is_file()


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("busy_timeout", 30_000)],
)
def test_what_is_accepted_survives_a_power_cut_and_waiters_wait(
    database: Database, pragma: str, value: object
) -> None:
    with database.reading() as connection:
        assert connection.execute(text(f"PRAGMA {pragma}")).scalar_one() == value


def test_readers_do_not_wait_for_a_writer(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(text("CREATE TABLE news (x)"))
    with database.writing() as connection:
        connection.execute(text("INSERT INTO news VALUES (1)"))
        with database.reading() as reader:
            assert reader.execute(text("SELECT count(*) FROM news")).scalar_one() == 0


def test_a_database_that_does_not_answer_is_unavailable(
    database: Database, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_SECONDS", 0.05)
    with Database(url) as impatient:
        with (
            database.writing(),
            pytest.raises(Unavailable, match="try again"),
            impatient.writing(),
        ):
            pass
        with impatient.writing() as connection:
            assert connection.execute(text("SELECT 1")).scalar_one() == 1
