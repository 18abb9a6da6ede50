"""Jobs tell how much of a disk they can take."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add it; unknown, and 0, for jobs of before."""
    column = sa.Column(
        "disk_bytes", sa.BigInteger(), nullable=False, server_default="0"
    )
    op.add_column("jobs", column)
