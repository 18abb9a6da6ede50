"""The table of jobs, and how a job becomes a row and a row a job."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    String,
    Table,
    Text,
)

from serve_app.database.columns import UtcDateTime, metadata
from serve_app.jobs.job import (
    Event,
    Job,
    Options,
    Priority,
    Result,
    Source,
    Stage,
    State,
    StemFile,
    Webhook,
    given,
)

_NORMAL_RANK = str(Priority.NORMAL.rank)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(64), primary_key=True),
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
    # Not a job's own: one that is queued again is not handed out before.
    Column("available_at", UtcDateTime),
    Column("expires_at", UtcDateTime),
    Column("tenant", String(64), nullable=False, server_default=""),
    Column("client", String(64), nullable=False, server_default=""),
    Column("disk_bytes", BigInteger, nullable=False, server_default="0"),
    Column("turn", Float, nullable=False, server_default="0"),
    Column("file_key", String(64)),
    Column("audio_key", String(64)),
    Column("waits_for", String(64)),
    Column("webhook", JSON(none_as_null=True)),
    # The options' own, where an index can have it.
    Column("priority", Integer, nullable=False, server_default=_NORMAL_RANK),
    # The source's own.
    Column("song_seconds", Float, nullable=False, server_default="0"),
    Column("source", JSON, nullable=False),
    Column("options", JSON, nullable=False),
    Column("result", JSON(none_as_null=True)),
    Index("jobs_by_turn", "state", "priority", "turn", "created_at", "id"),
    Index("jobs_by_client", "client", "state", "turn"),
    Index("jobs_by_lease", "state", "lease_expires_at"),
    Index("jobs_by_age", "created_at"),
    Index("jobs_by_tenant", "tenant", "created_at", "id"),
    Index("jobs_by_expiry", "expires_at"),
    Index("jobs_by_file", "file_key"),
    Index("jobs_by_audio", "audio_key"),
    Index("jobs_by_wait", "waits_for"),
)

_CONVERTED = ("source", "options", "state", "stage", "result", "webhook")
_SAME_IN_BOTH = [field.name for field in fields(Job) if field.name not in _CONVERTED]


def to_row(job: Job) -> dict[str, Any]:
    """Return the columns of a new `job`, which may be handed out at once."""
    return {
        **{name: getattr(job, name) for name in _SAME_IN_BOTH},
        "state": job.state.value,
        "stage": job.stage.value if job.stage else None,
        "source": asdict(job.source),
        "options": given(job.options),
        "priority": job.options.priority.rank,
        "song_seconds": job.source.duration_seconds,
        "result": to_json(job.result) if job.result else None,
        "webhook": asdict(job.webhook) if job.webhook else None,
    }


def to_job(row: Mapping[str, Any]) -> Job:
    """Return the job that `row` holds."""
    options = dict(row["options"])
    options["stems"] = tuple(options["stems"])
    # Jobs older than priorities have none.
    if "bpm_range" in options:
        options["bpm_range"] = tuple(options["bpm_range"])
    options["priority"] = Priority(options.get("priority", Priority.NORMAL))
    return Job(
        **{name: row[name] for name in _SAME_IN_BOTH},
        state=State(row["state"]),
        stage=Stage(row["stage"]) if row["stage"] else None,
        source=Source(**row["source"]),
        options=Options(**options),
        result=_to_result(row["result"]) if row["result"] else None,
        webhook=_to_webhook(row["webhook"]) if row["webhook"] else None,
    )


def to_json(result: Result) -> dict[str, Any]:
    """Return `result` as the column of that name holds it."""
    return asdict(result)


def _to_webhook(value: Mapping[str, Any]) -> Webhook:
    return Webhook(value["url"], tuple(Event(event) for event in value["events"]))


def _to_result(value: Mapping[str, Any]) -> Result:
    stems = tuple(StemFile(**stem) for stem in value["stems"])
    return Result(**{**value, "stems": stems})
