"""Add the trace that a job and its messages belong to."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Add both columns, null for existing rows."""
    for table in ("queue", "messages"):
        op.add_column(table, sa.Column("traceparent", sa.String(55)))
