"""Add kinds of jobs and channels of messages; keep views for the previous version."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

# The columns of both tables that the previous version uses.
_JOBS = (
    "id, state, stage, progress, attempt, failures, excused, run_alone, owner, "
    "lease_expires_at, started_at, cancel_requested, error, error_code, created_at, "
    "updated_at, available_at, expires_at, tenant, client, disk_bytes, turn, file_key, "
    "audio_key, waits_for, webhook, priority, song_seconds, source, options, result"
)
_DELIVERIES = (
    "id, job_id, url, host, event, body, state, attempt, failures, created_at, due_at, "
    "gives_up_at, log"
)


def upgrade() -> None:
    """Rename both tables; on Postgres, add updatable views with the old names.

    SQLite's views can't be updated, but only one version uses a file at a time.
    """
    _rename_jobs()
    _rename_deliveries()
    op.create_table(
        "lanes",
        sa.Column("kind", sa.String(32), primary_key=True),
        sa.Column("lane", sa.String(255), primary_key=True),
        sa.Column("paused_until", sa.DateTime(timezone=True), nullable=False),
    )
    if op.get_context().dialect.name == "postgresql":
        op.execute(
            f"CREATE VIEW jobs AS SELECT {_JOBS} FROM queue "  # noqa: S608  constants
            "WHERE kind = 'separation'"
        )
        op.execute(
            f"CREATE VIEW deliveries AS SELECT {_DELIVERIES} FROM messages "  # noqa: S608
            "WHERE channel = 'webhook'"
        )


def _rename_jobs() -> None:
    for name in ("turn", "client", "lease", "age", "tenant"):
        op.drop_index(f"jobs_by_{name}", "jobs")
    op.rename_table("jobs", "queue")
    with op.batch_alter_table("queue") as queue:
        kind = sa.String(32)
        queue.add_column(
            sa.Column("kind", kind, nullable=False, server_default="separation")
        )
        queue.add_column(sa.Column("unique_key", sa.String(255)))
        queue.add_column(sa.Column("lane", sa.String(255)))
        queue.add_column(sa.Column("request", sa.JSON))
        for name in ("source", "options"):
            queue.alter_column(name, existing_type=sa.JSON, nullable=True)
    indexes = {
        "turn": ["kind", "state", "priority", "turn", "created_at", "id"],
        "client": ["kind", "client", "state", "turn"],
        "lease": ["kind", "state", "lease_expires_at"],
        "tenant": ["kind", "tenant", "created_at", "id"],
    }
    for name, columns in indexes.items():
        op.create_index(f"queue_by_{name}", "queue", columns)
    unique = sa.text("unique_key IS NOT NULL AND state NOT IN ('failed', 'cancelled')")
    op.create_index(
        "queue_by_unique_key",
        "queue",
        ["kind", "unique_key"],
        unique=True,
        postgresql_where=unique,
        sqlite_where=unique,
    )
    in_lane = sa.text("lane IS NOT NULL")
    op.create_index(
        "queue_by_lane",
        "queue",
        ["kind", "lane", "state"],
        postgresql_where=in_lane,
        sqlite_where=in_lane,
    )


def _rename_deliveries() -> None:
    op.drop_index("deliveries_by_turn", "deliveries")
    op.rename_table("deliveries", "messages")
    channel = sa.Column(
        "channel", sa.String(32), nullable=False, server_default="webhook"
    )
    op.add_column("messages", channel)
    op.add_column("messages", sa.Column("order_key", sa.String(255)))
    op.create_index("messages_by_turn", "messages", ["channel", "state", "due_at"])
    ordered = sa.text("order_key IS NOT NULL")
    op.create_index(
        "messages_by_order",
        "messages",
        ["channel", "order_key", "state"],
        postgresql_where=ordered,
        sqlite_where=ordered,
    )
