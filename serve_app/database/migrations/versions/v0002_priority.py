"""Queue jobs by priority, then by age."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the priority, normal for existing jobs, and index the order of jobs."""
    column = sa.Column("priority", sa.Integer, nullable=False, server_default="1")
    op.add_column("jobs", column)
    op.drop_index("jobs_by_state", "jobs")
    op.create_index("jobs_by_turn", "jobs", ["state", "priority", "created_at"])
