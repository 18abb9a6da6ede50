"""Add tenants, digests of equal songs, webhooks and stored responses."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the columns, empty for existing jobs, and the table of responses."""
    tenant = sa.Column("tenant", sa.String(64), nullable=False, server_default="")
    op.add_column("jobs", tenant)
    for name in ("file_key", "audio_key", "waits_for"):
        op.add_column("jobs", sa.Column(name, sa.String(64)))
    op.add_column("jobs", sa.Column("webhook", sa.JSON()))
    op.create_index("jobs_by_file", "jobs", ["file_key"])
    op.create_index("jobs_by_audio", "jobs", ["audio_key"])
    op.create_index("jobs_by_wait", "jobs", ["waits_for"])
    op.create_table(
        "answers",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("answers_by_expiry", "answers", ["expires_at"])
