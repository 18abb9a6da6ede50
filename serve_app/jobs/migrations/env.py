"""Alembic's entry: runs the steps on the connection that `upgrade` made."""

from alembic import context

from serve_app.jobs.schema import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata
)
with context.begin_transaction():
    context.run_migrations()
