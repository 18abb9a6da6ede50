"""Add the id of a job's request, and the indexes that metrics are read from."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add the column, null for existing jobs, and the indexes."""
    op.add_column("queue", sa.Column("request_id", sa.String(64)))
    columns = ["kind", "state", "error_code", "expires_at", "stored_bytes"]
    op.create_index("queue_by_outcome", "queue", columns)
    op.create_index("usage_by_day", "usage", ["day", "audio_seconds"])
