"""A minute of `make chaos`: processes are killed while jobs run."""

from pathlib import Path

import pytest

from tests import s3
from tests.databases import Postgres
from tools.chaos.judge import Plan
from tools.chaos.run import run


@pytest.mark.timeout(600)
def test_every_promise_is_kept_while_everything_is_killed(
    cluster: int, postgres: Postgres, tmp_path: Path
) -> None:
    # A separate store, because it is killed too.
    store = s3.start(tmp_path / "s3")
    try:
        plan = Plan(jobs=24, songs=4, seed=2, least_strikes=5)
        verdict = run(plan, cluster, postgres, store, tmp_path)
    finally:
        store.close()
    table = "\n".join(verdict.lines())
    assert not verdict.faults, table
    assert len(verdict.log.strikes) >= 5, table
