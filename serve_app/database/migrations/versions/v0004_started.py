"""Record when an attempt started, to calculate its speed."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column, null for existing jobs."""
    op.add_column("jobs", sa.Column("started_at", sa.DateTime(timezone=True)))
