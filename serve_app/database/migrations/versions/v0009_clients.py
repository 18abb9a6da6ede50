"""Let clients take turns, and keep capacity free for short songs."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add a job's client, turn and length; existing jobs go first."""
    client = sa.Column("client", sa.String(64), nullable=False, server_default="")
    op.add_column("jobs", client)
    for name in ("turn", "song_seconds"):
        column = sa.Column(name, sa.Float(), nullable=False, server_default="0")
        op.add_column("jobs", column)
    op.drop_index("jobs_by_turn", "jobs")
    turn = ["state", "priority", "turn", "created_at", "id"]
    op.create_index("jobs_by_turn", "jobs", turn)
    op.create_index("jobs_by_client", "jobs", ["client", "state", "turn"])
