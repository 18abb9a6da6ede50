"""Alembic's entry: runs the steps on the connection that `upgrade` made."""

from alembic import context

from serve_app.database.migrations import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"], version_table=VERSION_TABLE
)
with context.begin_transaction():
    context.run_migrations()
