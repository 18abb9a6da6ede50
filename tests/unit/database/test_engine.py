from pathlib import Path

import pytest
from sqlalchemy import text

from serve_app.database import Database, engine
from serve_app.errors import DatabaseUnavailable, Unavailable
from tests.disks import SmallDisk


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
    reasons: list[str] = []
    with Database(url, reasons.append) as impatient:
        with (
            database.writing(),
            pytest.raises(Unavailable, match="Try again in a moment"),
            impatient.writing(),
        ):
            pass
        assert reasons == ["operational"]
        with impatient.writing() as connection:
            assert connection.execute(text("SELECT 1")).scalar_one() == 1
    assert reasons == ["operational"]


def test_a_full_disk_is_away_and_what_was_written_before_stays(
    small_disk: SmallDisk,
) -> None:
    """Reading goes on, and so does writing as soon as there is room again."""
    insert = text("INSERT INTO numbers VALUES (:number, zeroblob(100000))")

    def write(database: Database, number: int) -> None:
        with database.writing() as connection:
            connection.execute(insert, {"number": number})

    with Database(f"sqlite:///{small_disk.path / 'jobs.sqlite3'}") as database:
        with database.writing() as connection:
            connection.execute(text("CREATE TABLE numbers (number INTEGER, data BLOB)"))
        write(database, 0)
        with small_disk.filled():
            for number in range(1, 4):
                with pytest.raises(DatabaseUnavailable, match="full"):
                    write(database, number)
            with database.reading() as connection:
                found = connection.execute(text("SELECT number FROM numbers"))
                assert found.scalars().all() == [0]
        write(database, 4)
        with database.reading() as connection:
            found = connection.execute(text("SELECT number FROM numbers"))
            assert found.scalars().all() == [0, 4]
