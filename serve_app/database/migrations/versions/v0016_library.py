"""Add the files that users of the library have."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "library_files",
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("stem_id", sa.Text, nullable=False),
        sa.Column("track_id", sa.Text),
        sa.Column("filepath", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
