"""Record how much disk space a job may take."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the column, 0 for existing jobs."""
    column = sa.Column(
        "disk_bytes", sa.BigInteger(), nullable=False, server_default="0"
    )
    op.add_column("jobs", column)
