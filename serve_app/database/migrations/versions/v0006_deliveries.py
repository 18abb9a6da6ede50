"""Add the deliveries of clients' webhooks."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the table and its indexes."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("event", sa.String(32), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("due_at", moment, nullable=False),
        sa.Column("gives_up_at", moment, nullable=False),
        sa.Column("log", sa.JSON, nullable=False),
    )
    op.create_index("deliveries_by_turn", "deliveries", ["state", "due_at"])
    op.create_index("deliveries_by_job", "deliveries", ["job_id"])
