import logging
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from filelock import FileLock
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    Table,
    delete,
    insert,
    inspect,
    select,
    text,
    update,
)

from serve_app.access.table import api_keys, server_secrets
from serve_app.archive.copy_rows import archive_copies
from serve_app.archive.media import archive_media
from serve_app.database import Database, engine
from serve_app.database.columns import metadata
from serve_app.database.migrations import VERSION_TABLE, upgrade
from serve_app.idempotency.store import answers
from serve_app.jobs import statements
from serve_app.jobs.store import JobStore
from serve_app.jobs.table import lanes, queue, to_row
from serve_app.library.known_files import library_files
from serve_app.stems.kind import separation
from serve_app.usage.table import usage
from serve_app.webhooks.message import WEBHOOK, Message
from serve_app.webhooks.outbox import Outbox
from serve_app.webhooks.table import messages
from tests.databases import Postgres
from tests.jobs import NOON, ManualClock, new_job, new_store, stored

ROOT = Path(__file__).parents[3]
# Forked, so that they start together and the imports are paid once.
OPEN_AT_ONCE = """
import os, sys, traceback
from serve_app.database import Database
from tests.jobs import ManualClock, new_store

def open_store():
    try:
        assert new_store(Database(sys.argv[1]), ManualClock()).listed("", 1) == []
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)

children = [os.fork() or open_store() for _ in range(4)]
# A status of `waitpid` is a multiple of 256, and as an exit status it would be 0.
sys.exit(any(os.waitpid(child, 0)[1] for child in children))
"""


NEWEST = "0017"
VERSION_TABLES = {VERSION_TABLE, "alembic_version"}


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    with postgres.new_database() as url:
        yield url


@pytest.fixture(params=["url", "postgres_url"])
def any_url(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(request.param)
    return found


def version(database: Engine, table: str = VERSION_TABLE) -> str:
    with database.connect() as connection:
        query = text(f"SELECT * FROM {table}")  # noqa: S608  a constant
        found: str = connection.execute(query).scalar_one()
        return found


def test_the_steps_lead_to_the_tables_that_the_code_uses(any_url: str) -> None:
    database = engine.connect(any_url)
    upgrade(database)
    assert set(metadata.tables.values()) >= {
        *(queue, lanes, messages, answers, usage),
        *(api_keys, server_secrets, library_files, archive_media, archive_copies),
    }

    def is_ours(name: str | None, kind: str, _: object) -> bool:
        return kind != "table" or name not in VERSION_TABLES

    with database.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": is_ours})
        assert compare_metadata(context, metadata) == []
    assert version(database) == NEWEST
    database.dispose()


def test_a_second_upgrade_changes_nothing(url: str) -> None:
    with Database(url) as first:
        new_store(first, ManualClock()).add(new_job())
    with Database(url) as second:
        assert new_store(second, ManualClock()).get("a") == new_job()


def test_a_step_that_fails_leaves_nothing_behind(url: str) -> None:
    """The index's name is taken, after the table could be made."""
    database = engine.connect(url)
    with database.begin() as connection:
        connection.execute(text("CREATE TABLE other (x)"))
        connection.execute(text("CREATE INDEX jobs_by_age ON other (x)"))
    try:
        upgrade(database)
    except Exception:
        assert inspect(database).get_table_names() == ["other"]
    else:
        raise AssertionError("the step should have failed")
    with database.begin() as connection:
        connection.execute(text("DROP TABLE other"))
    upgrade(database)
    assert inspect(database).has_table("queue")
    database.dispose()


def test_an_upgrade_waits_for_one_under_way(url: str) -> None:
    """SQLite would not: a new file that is being written refuses WAL mode at once."""
    database = engine.connect(url)
    with ThreadPoolExecutor(1) as pool:
        with FileLock(f"{database.url.database}.lock"):
            second = pool.submit(upgrade, database)
            assert not wait([second], timeout=0.3).done
        second.result(timeout=60)
    assert inspect(database).has_table("queue")
    database.dispose()


def test_processes_that_start_at_once_share_one_database(url: str) -> None:
    command = [sys.executable, "-c", OPEN_AT_ONCE, url]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stderr, done.returncode) == ("", 0)


def as_before(table: Table, name: str, *unknown: str) -> Table:
    """Return a table as the version before kinds knows it, by its own name."""
    known = [column for column in table.c if column.name not in unknown]
    return Table(name, MetaData(), *(Column(one.name, one.type) for one in known))


JOBS = as_before(
    *(queue, "jobs", "kind", "unique_key", "lane", "request"),
    *("at_once", "audio_seconds", "stored_bytes", "request_id", "traceparent"),
)
DELIVERIES = as_before(
    *(messages, "deliveries", "channel", "order_key", "traceparent"),
)


def add_as_before(connection: Connection, job_id: str) -> None:
    """Add a job and a delivery as the version before kinds does."""
    job = to_row(separation(), new_job(job_id))
    connection.execute(
        insert(JOBS).values({name: job[name] for name in job if name in JOBS.c})
    )
    connection.execute(
        insert(DELIVERIES).values(
            id=f"msg_{job_id}",
            job_id=job_id,
            url="https://example.com/",
            host="example.com",
            event="job.completed",
            body="{}",
            state="pending",
            attempt=0,
            failures=0,
            created_at=NOON,
            due_at=NOON,
            gives_up_at=NOON + timedelta(days=3),
            log=[],
        )
    )


def test_what_the_version_before_has_left_is_taken_over(any_url: str) -> None:
    before = engine.connect(any_url)
    config = Config()
    config.set_main_option("script_location", "serve_app.database:migrations")
    with before.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0010")
        rename = f"ALTER TABLE {VERSION_TABLE} RENAME TO alembic_version"
        connection.execute(text(rename))
        add_as_before(connection, "a")
    with Database(any_url) as database:
        assert stored(database) == [new_job("a")]
        [delivery] = Outbox(database, ManualClock()).of_job("a")
        assert (delivery.id, delivery.channel) == ("msg_a", WEBHOOK)
    assert version(before) == NEWEST
    before.dispose()


def test_a_version_before_starts_again_only_where_it_finds_what_it_knows(
    any_url: str,
) -> None:
    """Its own migrations know 0010, and stop at a revision that they don't know."""
    Database(any_url).close()
    database = engine.connect(any_url)
    is_postgres = database.dialect.name == "postgresql"
    assert version(database, "alembic_version") == ("0010" if is_postgres else NEWEST)
    views = {"deliveries", "jobs"} if is_postgres else set()
    assert set(inspect(database).get_view_names()) == views
    database.dispose()


def test_a_schema_that_is_newer_is_taken_as_it_is(
    any_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Database(any_url) as database:
        new_store(database, ManualClock()).add(new_job())
        with database.writing() as connection:
            connection.execute(text("UPDATE schema_version SET version_num = '9999'"))
            connection.execute(text("UPDATE alembic_version SET version_num = '9998'"))
    caplog.clear()
    with caplog.at_level(logging.WARNING), Database(any_url) as database:
        assert stored(database) == [new_job()]
    assert "newer than this version version=9999" in caplog.text
    found = engine.connect(any_url)
    assert (version(found), version(found, "alembic_version")) == ("9999", "9998")
    found.dispose()


BOTH = (JOBS, DELIVERIES)


def changed(connection: Connection, table: Table) -> int:
    """Take the first row that nobody else has locked, as a claim does."""
    first = select(table.c.id).limit(1).with_for_update(skip_locked=True)
    query = update(table).where(table.c.id == first.scalar_subquery())
    found = connection.execute(query.values(attempt=7).returning(*table.c))
    return len(found.all())


def test_the_version_before_goes_on_beside_this_one(postgres_url: str) -> None:
    """By the statements that it has, with the jobs and deliveries of its kind only."""
    other_kind = replace(separation(), name="other")
    clock = ManualClock()
    with Database(postgres_url) as database, database.writing() as connection:
        add_as_before(connection, "a")
        statements.add(connection, other_kind, new_job("b"))
        letter = Message("letter", "sms:1", "sent", "{}", "b")
        Outbox(database, clock).post(connection, [letter])
    with Database(postgres_url) as database:
        store = new_store(database, clock)
        with database.writing() as connection:
            ids = [connection.execute(select(each.c.id)).all() for each in BOTH]
            assert ids == [[("a",)], [("msg_a",)]]
            for table in BOTH:
                assert changed(connection, table) == 1
                with database.writing() as beside:
                    assert changed(beside, table) == 0
        assert store.get("a").attempt == 7
        assert store.get("a") == new_job("a", attempt=7)
        with database.writing() as connection:
            for table in BOTH:
                assert connection.execute(delete(table)).rowcount == 1
        assert stored(database) == []
        assert JobStore(database, clock, other_kind).get("b") == new_job("b")
        assert len(Outbox(database, clock).of_job("b", "letter")) == 1
