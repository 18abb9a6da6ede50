"""The table of jobs, and the conversion between jobs and rows."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    Select,
    String,
    Table,
    Text,
    and_,
    not_,
    select,
)

from serve_app.database.columns import UtcDateTime, metadata
from serve_app.jobs import codec
from serve_app.jobs.job import NORMAL_PRIORITY, Job, Q, R, State
from serve_app.jobs.kind import Kind

# The kind of rows that were added before there were kinds.
FIRST_KIND = "separation"

# The view "jobs" shows the rows of the first kind to the previous version.
queue = Table(
    "queue",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("kind", String(32), nullable=False, server_default=FIRST_KIND),
    Column("state", String(16), nullable=False),
    Column("stage", String(16)),
    Column("progress", Float, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("excused", Integer, nullable=False, server_default="0"),
    Column("run_alone", Boolean, nullable=False),
    Column("owner", String(255)),
    Column("lease_expires_at", UtcDateTime),
    Column("started_at", UtcDateTime),
    Column("cancel_requested", Boolean, nullable=False),
    Column("error", Text),
    Column("error_code", String(64)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    # Not a field of Job: a job that is queued again can't be claimed before this time.
    Column("available_at", UtcDateTime),
    Column("expires_at", UtcDateTime),
    Column("tenant", String(64), nullable=False, server_default=""),
    Column("client", String(64), nullable=False, server_default=""),
    Column("disk_bytes", BigInteger, nullable=False, server_default="0"),
    Column("turn", Float, nullable=False, server_default="0"),
    Column("file_key", String(64)),
    Column("audio_key", String(64)),
    Column("waits_for", String(64)),
    Column("unique_key", String(255)),
    Column("lane", String(255)),
    Column("priority", Integer, nullable=False, server_default=str(NORMAL_PRIORITY)),
    Column("song_seconds", Float, nullable=False, server_default="0"),
    Column("at_once", Integer),
    Column("audio_seconds", Float, nullable=False, server_default="0"),
    Column("stored_bytes", BigInteger, nullable=False, server_default="0"),
    Column("request_id", String(64)),
    Column("traceparent", String(55)),
    # The fields of a request that the previous version reads; `request` has the others.
    Column("source", JSON(none_as_null=True)),
    Column("options", JSON(none_as_null=True)),
    Column("webhook", JSON(none_as_null=True)),
    Column("request", JSON(none_as_null=True)),
    Column("result", JSON(none_as_null=True)),
    Index("queue_by_turn", "kind", "state", "priority", "turn", "created_at", "id"),
    Index("queue_by_client", "kind", "client", "state", "turn"),
    Index("queue_by_lease", "kind", "state", "lease_expires_at"),
    # Has all that the metrics read of jobs that ended: their rows are large.
    Index(
        "queue_by_outcome",
        *("kind", "state", "error_code", "expires_at", "stored_bytes"),
    ),
    Index("queue_by_owner", "tenant", "kind", "created_at", "id"),
    # Without it, SQLite reads another tenant's row, which takes longer than none.
    Index("queue_by_tenant_and_id", "tenant", "id", unique=True),
    Index("jobs_by_expiry", "expires_at"),
    Index("jobs_by_file", "file_key"),
    Index("jobs_by_audio", "audio_key"),
    Index("jobs_by_wait", "waits_for"),
)
_has_no_result = queue.c.state.in_((State.FAILED.value, State.CANCELLED.value))
Index(
    "queue_by_unique_key",
    queue.c.kind,
    queue.c.unique_key,
    unique=True,
    postgresql_where=and_(queue.c.unique_key.is_not(None), not_(_has_no_result)),
    sqlite_where=and_(queue.c.unique_key.is_not(None), not_(_has_no_result)),
)
Index(
    "queue_by_lane",
    queue.c.kind,
    queue.c.lane,
    queue.c.state,
    postgresql_where=queue.c.lane.is_not(None),
    sqlite_where=queue.c.lane.is_not(None),
)

lanes = Table(
    "lanes",
    metadata,
    Column("kind", String(32), primary_key=True),
    Column("lane", String(255), primary_key=True),
    Column("paused_until", UtcDateTime, nullable=False),
)


def known_ids() -> Select[tuple[str]]:
    """Return the query for the ids of all jobs, of any kind."""
    return select(queue.c.id)


_OWN_COLUMNS = ("source", "options", "webhook")
# Fields with other column names, which the previous version reads.
_COLUMNS = {
    "cost_seconds": "song_seconds",
    "same_input": "file_key",
    "same_work": "audio_key",
}
_SAME_IN_BOTH = [
    field.name
    for field in fields(Job)
    if field.name not in ("request", "result", "state", *_COLUMNS)
]


def to_row(kind: Kind[Q, R], job: Job[Q, R]) -> dict[str, Any]:
    """Return the columns of a new `job`, which can be claimed at once."""
    request = codec.to_json(job.request)
    own = {name: request.pop(name, None) for name in _OWN_COLUMNS}
    return {
        **{name: getattr(job, name) for name in _SAME_IN_BOTH},
        **{column: getattr(job, name) for name, column in _COLUMNS.items()},
        **own,
        "kind": kind.name,
        "state": job.state.value,
        "request": request or None,
        "result": None if job.result is None else codec.to_json(job.result),
    }


def to_job(kind: Kind[Q, R], row: Mapping[str, Any]) -> Job[Q, R]:
    """Return the job of `kind` that `row` holds."""
    own = {name: row[name] for name in _OWN_COLUMNS if row[name] is not None}
    result = row["result"]
    return Job(
        **{name: row[name] for name in _SAME_IN_BOTH},
        **{name: row[column] for name, column in _COLUMNS.items()},
        state=State(row["state"]),
        request=codec.from_json(kind.request, {**(row["request"] or {}), **own}),
        result=None if result is None else codec.from_json(kind.result, result),
    )
