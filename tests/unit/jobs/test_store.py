"""What the store promises of SQLite beyond the contract of all databases."""

import subprocess
import sys
from pathlib import Path

from sqlalchemy import text

from serve_app.database import Database
from serve_app.jobs.job import State
from tests.jobs import ManualClock, stored

ROOT = Path(__file__).parents[3]
ADD_FOR_EVER = """
import sys
from itertools import count
from serve_app.database import Database
from tests.jobs import ManualClock, new_job, new_store
store = new_store(Database(sys.argv[1]), ManualClock())
for number in count():
    store.add(new_job(f"job-{number}"))
    print(f"job-{number}", flush=True)
"""


def test_every_accepted_job_survives_kill_9(url: str, clock: ManualClock) -> None:
    command = [sys.executable, "-c", ADD_FOR_EVER, url]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        accepted = [writer.stdout.readline().strip() for _ in range(20)]
        writer.kill()
        accepted += writer.stdout.read().split()
    with Database(url) as database:
        found = {job.id: job.state for job in stored(database)}
        with database.reading() as connection:
            check = connection.execute(text("PRAGMA integrity_check")).scalar_one()
    # The last one may have been stored without the time to say so.
    assert 0 <= len(found) - len(accepted) <= 1
    assert {found[job_id] for job_id in accepted} == {State.QUEUED}
    assert check == "ok"
