"""Alembic's entry point: run the migrations on the connection of `upgrade`."""

from alembic import context

from serve_app.database.migrations import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"], version_table=VERSION_TABLE
)
with context.begin_transaction():
    context.run_migrations()
