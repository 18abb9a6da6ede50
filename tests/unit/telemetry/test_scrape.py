"""A scrape never waits long, and asks for each value once at a time."""

import time
from pathlib import Path
from threading import Event

import pytest

from serve_app.errors import DatabaseUnavailable, StorageUnavailable
from serve_app.telemetry import scrape
from serve_app.telemetry.scrape import Scraper, Sources
from serve_app.telemetry.store import DatabaseFacts

pytestmark = pytest.mark.anyio

WAIT_SECONDS = 0.1
PATIENCE_SECONDS = 10.0


class Behind:
    """A database and a store that answer when they may, or raise."""

    def __init__(self) -> None:
        self.reads = 0
        self.may_answer = Event()
        self.may_answer.set()
        self.error: Exception | None = None
        self.is_storage_up = True

    def read(self) -> DatabaseFacts:
        self.reads += 1
        assert self.may_answer.wait(PATIENCE_SECONDS)
        if self.error is not None:
            raise self.error
        return DatabaseFacts()

    def probe(self) -> None:
        if not self.is_storage_up:
            raise StorageUnavailable("gone")

    def scraper(self, **directories: Path) -> Scraper:
        return Scraper(Sources(self.read, self.probe, directories), WAIT_SECONDS)


async def test_values_are_read_once_for_all_who_ask_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    behind = Behind()
    scraper = behind.scraper()
    assert await scraper.facts() == await scraper.facts()
    assert behind.reads == 1
    monkeypatch.setattr(scrape, "FRESH_SECONDS", 0.0)
    await scraper.facts()
    assert behind.reads == 2


async def test_a_database_that_hangs_delays_nobody_and_is_asked_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scrape, "FRESH_SECONDS", 0.0)
    behind = Behind()
    behind.may_answer.clear()
    scraper = behind.scraper()
    began_seconds = time.monotonic()
    found = [await scraper.facts() for _ in range(3)]
    assert time.monotonic() - began_seconds < PATIENCE_SECONDS / 2
    assert [each.database for each in found] == [None] * 3
    assert all(each.is_storage_up for each in found)
    assert behind.reads == 1
    behind.may_answer.set()
    assert (await scraper.facts()).database == DatabaseFacts()


@pytest.mark.parametrize("error", [DatabaseUnavailable("away"), RuntimeError("bug")])
async def test_what_fails_is_down_and_the_rest_is_there(
    error: Exception, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    behind = Behind()
    behind.error, behind.is_storage_up = error, False
    found = await behind.scraper(data=tmp_path / "not" / "yet").facts()
    assert found.database is None
    assert not found.is_storage_up
    assert found.disks["data"].size_bytes > 0
    logged = [record for record in caplog.records if "database" in record.message]
    assert [bool(each.exc_info) for each in logged] == [type(error) is RuntimeError]
