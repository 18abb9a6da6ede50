"""Count the attempts of a job that failed because a service was unavailable."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the count, zero for existing jobs."""
    excused = sa.Column("excused", sa.Integer(), nullable=False, server_default="0")
    op.add_column("jobs", excused)
