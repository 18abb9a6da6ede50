from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy import Dialect, make_url

from serve_app.database.columns import UtcDateTime
from serve_app.jobs.job import State
from serve_app.jobs.table import queue, to_job, to_row
from serve_app.stems.kind import separation
from serve_app.stems.request import SeparationJob, Stage
from tests.jobs import NOON, RESULT, asking, new_job

KIND = separation()
URLS = ["sqlite://", "postgresql+psycopg://"]
DIALECTS: list[Dialect] = [make_url(url).get_dialect()() for url in URLS]

FULL = new_job(
    state=State.SUCCEEDED,
    stage=Stage.UPLOAD,
    progress=0.5,
    attempt=3,
    failures=2,
    run_alone=True,
    owner="me",
    lease_expires_at=NOON,
    cancel_requested=True,
    error="why",
    error_code="code",
    result=RESULT,
    expires_at=NOON,
)


@pytest.mark.parametrize("job", [new_job(), FULL], ids=["new", "full"])
def test_a_row_is_the_whole_job(job: SeparationJob) -> None:
    row = to_row(KIND, job)
    assert to_job(KIND, row) == job
    assert row.keys() <= set(queue.c.keys())


def test_a_job_from_before_priorities_has_the_normal_one() -> None:
    row = to_row(KIND, new_job())
    del row["options"]["priority"]
    assert to_job(KIND, row) == new_job()


def test_a_job_from_before_side_means_has_its_other_facts() -> None:
    row = to_row(KIND, new_job())
    del row["source"]["side_mean"]
    assert to_job(KIND, row) == new_job()
    assert to_job(KIND, row).request.source.side_mean == 0.0


@pytest.mark.parametrize("side_mean", [0.05, -1e-9])
def test_a_side_mean_is_kept_to_the_last_bit(side_mean: float) -> None:
    job = new_job()
    job = asking(job, source=replace(job.request.source, side_mean=side_mean))
    assert to_job(KIND, to_row(KIND, job)) == job


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_time_without_zone_is_refused(dialect: Dialect) -> None:
    naive = NOON.replace(tzinfo=None)
    with pytest.raises(ValueError, match="no time zone"):
        UtcDateTime().process_bind_param(naive, dialect)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize(
    "found", [NOON.replace(tzinfo=None), NOON.astimezone(timezone(timedelta(hours=9)))]
)
def test_a_time_is_read_as_utc(dialect: Dialect, found: datetime) -> None:
    moment = UtcDateTime().process_result_value(found, dialect)
    assert moment == NOON
    assert moment.utcoffset() == timedelta(0)
