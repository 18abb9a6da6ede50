import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from filelock import FileLock
from sqlalchemy import inspect, text

from serve_app.database import Database, engine
from serve_app.database.columns import metadata
from serve_app.database.migrations import upgrade
from serve_app.jobs.store import JobStore
from serve_app.webhooks.table import deliveries
from tests.jobs import ManualClock, new_job

ROOT = Path(__file__).parents[3]
# Forked, so that they start together and the imports are paid once.
OPEN_AT_ONCE = """
import os, sys, traceback
from serve_app.database import Database
from serve_app.jobs.store import JobStore
from tests.jobs import ManualClock

def open_store():
    try:
        assert JobStore(Database(sys.argv[1]), ManualClock()).listed("", 1) == []
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)

children = [os.fork() or open_store() for _ in range(4)]
sys.exit(sum(os.waitpid(child, 0)[1] for child in children))
"""


def test_the_steps_lead_to_the_tables_that_the_code_uses(url: str) -> None:
    database = engine.connect(url)
    upgrade(database)
    assert set(metadata.tables.values()) >= {jobs, deliveries}
    with database.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    database.dispose()


def test_a_second_upgrade_changes_nothing(url: str) -> None:
    with Database(url) as first:
        JobStore(first, ManualClock()).add(new_job(), max_queued=1)
    with Database(url) as second:
        assert JobStore(second, ManualClock()).get("a") == new_job()


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
    assert inspect(database).has_table("jobs")
    database.dispose()


def test_an_upgrade_waits_for_one_under_way(url: str) -> None:
    """SQLite would not: a new file that is being written refuses WAL mode at once."""
    database = engine.connect(url)
    with ThreadPoolExecutor(1) as pool:
        with FileLock(f"{database.url.database}.lock"):
            second = pool.submit(upgrade, database)
            assert not wait([second], timeout=0.3).done
        second.result(timeout=60)
    assert inspect(database).has_table("jobs")
    database.dispose()


def test_processes_that_start_at_once_share_one_database(url: str) -> None:
    command = [sys.executable, "-c", OPEN_AT_ONCE, url]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stderr, done.returncode) == ("", 0)
