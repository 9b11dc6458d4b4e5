"""Run by Alembic: migrates the connection that `store.database` hands over."""

from alembic import context

from hashmatch.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a table only by copying it.
)
with context.begin_transaction():
    context.run_migrations()
