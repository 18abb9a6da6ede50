"""Jobs are listed by tenant, newest first."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Index the jobs; those of before stay whose they are, or nobody's."""
    op.create_index("jobs_by_tenant", "jobs", ["tenant", "created_at", "id"])
