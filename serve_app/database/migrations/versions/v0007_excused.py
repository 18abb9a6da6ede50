"""Jobs count the attempts that ended because something else was away."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the count, zero for jobs that are there."""
    excused = sa.Column("excused", sa.Integer(), nullable=False, server_default="0")
    op.add_column("jobs", excused)
