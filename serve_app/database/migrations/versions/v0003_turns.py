"""Let a claim read one index entry, however many jobs are queued."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Index the complete order of jobs, and the expiry of leases."""
    op.drop_index("jobs_by_turn", "jobs")
    turn = ["state", "priority", "created_at", "id"]
    op.create_index("jobs_by_turn", "jobs", turn)
    op.create_index("jobs_by_lease", "jobs", ["state", "lease_expires_at"])
