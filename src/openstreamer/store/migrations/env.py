"""Alembic's entry point: runs on the connection, and inside the transaction, that ``migrate`` hands over."""

from alembic import context

from openstreamer.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot alter most things in place
)
with context.begin_transaction():
    context.run_migrations()
