"""Add what tenants use, and the columns that their quotas are counted by."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add the columns and the table; let the index by tenant serve all kinds."""
    at_once = sa.Column("at_once", sa.Integer)
    op.add_column("queue", at_once)
    for name, kind in (("audio_seconds", sa.Float), ("stored_bytes", sa.BigInteger)):
        column = sa.Column(name, kind(), nullable=False, server_default="0")
        op.add_column("queue", column)
    op.drop_index("queue_by_tenant", "queue")
    columns = ["tenant", "kind", "created_at", "id"]
    op.create_index("queue_by_owner", "queue", columns)
    op.create_index("queue_by_tenant_and_id", "queue", ["tenant", "id"], unique=True)
    op.create_table(
        "usage",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("jobs", sa.BigInteger, nullable=False),
        sa.Column("audio_seconds", sa.Float, nullable=False),
        sa.Column("device_seconds", sa.Float, nullable=False),
        sa.Column("bytes_in", sa.BigInteger, nullable=False),
        sa.Column("bytes_out", sa.BigInteger, nullable=False),
    )
