"""List jobs by tenant, newest first."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Index the jobs; existing jobs keep their tenant, or none."""
    op.create_index("jobs_by_tenant", "jobs", ["tenant", "created_at", "id"])
