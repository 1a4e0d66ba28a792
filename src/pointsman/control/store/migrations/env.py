"""Run by Alembic: migrates the database of the connection that the store provides."""

from alembic import context

from pointsman.control.store.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
