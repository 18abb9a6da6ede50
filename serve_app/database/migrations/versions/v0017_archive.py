"""Add the media of the archive, and its copies."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "archive_media",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("mal_id", sa.BigInteger),
        sa.Column("episode", sa.BigInteger),
        sa.Column("provider", sa.Text),
        sa.Column("resolution", sa.Text),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.Column("job_id", sa.String(64)),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("error_code", sa.String(64)),
        sa.Column("next_try_at", _TIME),
        sa.Column("stored_at", _TIME),
        sa.Column("object_key", sa.Text),
        sa.Column("store", sa.Text),
        sa.Column("size_bytes", sa.BigInteger),
        sa.Column("sha256", sa.String(64)),
        sa.Column("media_type", sa.Text),
        sa.Column("duration_seconds", sa.Float),
        sa.Column("blocked_at", _TIME),
        sa.Column("mirrored", sa.Text),
    )
    op.create_index("archive_media_by_next_try", "archive_media", ["next_try_at"])
    op.create_index("archive_media_by_object", "archive_media", ["object_key"])
    op.create_index("archive_media_by_age", "archive_media", ["stored_at"])
    op.create_index("archive_media_by_change", "archive_media", ["updated_at"])
    op.create_table(
        "archive_copies",
        sa.Column("object_key", sa.Text, primary_key=True),
        sa.Column("store", sa.Text, primary_key=True),
        sa.Column("wanted", sa.Boolean, nullable=False),
        sa.Column("stored_at", _TIME),
        sa.Column("due_at", _TIME, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("claim", sa.String(32)),
    )
    op.create_index("archive_copies_by_turn", "archive_copies", ["stored_at", "due_at"])
