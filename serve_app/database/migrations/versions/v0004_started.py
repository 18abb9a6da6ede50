"""Jobs know when their attempt began, which tells how fast it is."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the moment; jobs under way have none."""
    op.add_column("jobs", sa.Column("started_at", sa.DateTime(timezone=True)))
