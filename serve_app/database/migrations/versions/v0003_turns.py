"""A claim reads one entry of an index, however many jobs wait."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Index the whole order of turns, and the leases that may have run out."""
    op.drop_index("jobs_by_turn", "jobs")
    turn = ["state", "priority", "created_at", "id"]
    op.create_index("jobs_by_turn", "jobs", turn)
    op.create_index("jobs_by_lease", "jobs", ["state", "lease_expires_at"])
